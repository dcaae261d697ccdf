"""What an environment's data stands on: its volumes, and the disk under all of them."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from envctl.engine import connect, look
from envctl.model import ENVIRONMENT_LABEL

if TYPE_CHECKING:
    from envctl.engine.docker_engine import DockerEngine


class Ground:
    """The ground of one engine."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine

    def volumes(self, environment: str) -> dict[str, str]:
        """When each volume of an environment was made (the engine's time), by name: a name made anew is another one."""
        filters = {"label": [f"{ENVIRONMENT_LABEL}={environment}"]}
        socket = self._engine.address.socket
        if socket is None:
            answer = self._engine.api.volumes(filters=filters)
        else:
            try:
                answer = look.ask(socket, f"/volumes?filters={quote(json.dumps(filters))}", connect.CONNECT_TIMEOUT)
            except OSError as error:
                raise connect.unreachable(self._engine.address, error) from error
        return {volume["Name"]: str(volume.get("CreatedAt", "")) for volume in answer["Volumes"] or []}

    def free(self) -> tuple[Path, int] | None:
        """Where the engine keeps its data, and the bytes that are free there; None where that cannot be seen from here
        (Docker Desktop, Colima, another machine).
        """
        info = self._engine.api.info()
        root = Path(str(info.get("DockerRootDir") or ""))
        same_machine = platform.system() == "Linux" and info.get("KernelVersion") == platform.release()
        if not same_machine or not root.is_absolute() or not root.exists():
            return None
        return root, shutil.disk_usage(root).free

"""The disk under all that an engine keeps."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envctl.protocols import Engine


def free(engine: Engine) -> tuple[Path, int] | None:
    """Where the engine keeps its data, and the bytes that are free there; None where that cannot be seen from here
    (Docker Desktop, Colima, another machine).
    """
    info = engine.info()
    root = Path(str(info.get("DockerRootDir") or ""))
    same_machine = platform.system() == "Linux" and info.get("KernelVersion") == platform.release()
    if not same_machine or not root.is_absolute() or not root.exists():
        return None
    return root, shutil.disk_usage(root).free

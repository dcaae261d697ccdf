"""The machine and the engine as all checks see them: asked once, before the checks run side by side."""

from __future__ import annotations

import platform
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envctl.engine import connect
from envctl.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import docker

COMMAND_TIMEOUT = 10
"""Seconds for a command that only looks (`docker compose version` takes 50 ms)."""

SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where dockerd, debootstrap, tc and iptables live; Debian keeps these off the PATH of ordinary users."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """An engine that answered: its `/version`, `/info`, and its clock's lead over ours in seconds."""

    api: docker.APIClient = field(repr=False)
    version: Mapping[str, Any]
    info: Mapping[str, Any]
    skew: float

    @property
    def podman(self) -> bool:
        """Whether podman answers behind the docker API."""
        return any("podman" in str(part.get("Name", "")).lower() for part in self.version.get("Components") or ())

    @property
    def same_machine(self) -> bool:
        """Whether the engine's kernel is ours: not so behind Docker Desktop, Colima or a remote DOCKER_HOST."""
        return platform.system() == "Linux" and self.info.get("KernelVersion") == platform.release()


@dataclass(frozen=True, slots=True)
class Site:
    """Where the engine is, and either what it said or why it said nothing."""

    address: connect.Address | None
    engine: EngineFacts | None
    error: EngineError | None

    @classmethod
    def look(cls) -> Site:
        """Find the engine and ask it; whatever goes wrong is kept as `error`, for the checks that need no engine."""
        address = None
        try:
            address = connect.locate()
            return cls(address, ask(address), None)
        except EngineError as error:
            return cls(address, None, error)
        except Exception as error:  # noqa: BLE001 - becomes the finding that fails, with its text
            broken = EngineError("a container engine", f"{type(error).__name__}: {error}", "please report it")
            broken.__cause__ = error.__cause__
            return cls(address, None, broken)


def ask(address: connect.Address) -> EngineFacts:
    """What the engine at `address` says of itself.

    Raises:
        EngineError: nobody answers, permission is denied, or the engine is too old.

    """
    from datetime import datetime

    api = connect.client(address)
    before = time.time()
    info: dict[str, Any] = api.info()
    now = (before + time.time()) / 2
    stamp = str(info.get("SystemTime") or "")
    skew = datetime.fromisoformat(stamp).timestamp() - now if stamp else 0.0
    return EngineFacts(api, api.version(), info, skew)


def find_program(name: str) -> str | None:
    """The path of a program, also in the folders of the administrator."""
    return shutil.which(name) or shutil.which(name, path=SYSTEM_FOLDERS)


def run(command: Sequence[str], timeout: float = COMMAND_TIMEOUT) -> subprocess.CompletedProcess[str]:
    """Run a command that only looks; both streams as text, no input, any exit code.

    Raises:
        OSError: the program cannot be started.
        subprocess.TimeoutExpired: it took longer than `timeout` seconds.

    """
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )


def docker_command(address: connect.Address | None) -> list[str]:
    """The docker CLI pointed at that engine. DOCKER_HOST is left to the CLI, with the TLS variables that go with it."""
    if address is None or address.reason == "DOCKER_HOST":
        return ["docker"]
    return ["docker", "--context", address.context] if address.context else ["docker", "--host", address.url]

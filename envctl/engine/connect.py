"""Which engine: found the way the docker CLI finds it, and then where the others put theirs."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from envctl.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import docker

OLDEST_ENGINE = (20, 10)
"""Docker Engine 20.10: what Debian 12 ships; the oldest with BuildKit's mounts built in."""

OLDEST_COMPOSE = (2, 20)
"""Compose 2.20: the first with `include`."""

CONNECT_TIMEOUT, ANSWER_TIMEOUT = 10, 60
"""Seconds for the first answer of an engine, and for each that follows; a local one answers in milliseconds."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Address:
    """An engine's address, and why this one. `context` is the docker context it came from, if any."""

    url: str
    reason: str
    context: str = ""

    @property
    def local(self) -> bool:
        """Whether the engine is reached by a socket on this machine."""
        return self.url.startswith(("unix://", "npipe://"))

    @property
    def chosen(self) -> bool:
        """Whether the docker CLI would choose it by itself, from DOCKER_HOST or its context."""
        return bool(self.context) or self.reason == "DOCKER_HOST"

    @property
    def published_host(self) -> str:
        """Where its published ports are reached from here."""
        return "127.0.0.1" if self.local else (urlsplit(self.url).hostname or "127.0.0.1")

    def require_here(self) -> None:
        """Refuse an engine on another machine: it would publish the services on its own 127.0.0.1, out of reach.

        Raises:
            EngineError: with the ways around.

        """
        if not self.local and self.published_host not in _LOOPBACK:
            raise EngineError(
                "an engine whose published ports are reached from here",
                f"{self.url} ({self.reason}) is on another machine; services are published on its 127.0.0.1 only",
                "run envctl on that machine, or forward its engine's socket and ports here",
            )

    @property
    def socket(self) -> Path | None:
        """The path of its Unix socket."""
        return Path(self.url.removeprefix("unix://")) if self.url.startswith("unix://") else None


def locate(environ: Mapping[str, str] | None = None, home: Path | None = None) -> Address:
    """The engine to use: DOCKER_HOST, else the docker context, else the first socket that exists.

    Raises:
        EngineError: a context is named that does not exist.

    """
    environ, home = os.environ if environ is None else environ, home or Path.home()
    if environ.get("DOCKER_HOST"):
        return Address(environ["DOCKER_HOST"], "DOCKER_HOST")
    folder = Path(environ.get("DOCKER_CONFIG") or home / ".docker")
    context = environ.get("DOCKER_CONTEXT") or _current_context(folder)
    if context and context != "default":
        return Address(_context_host(folder, context), f"docker context {context!r}", context)
    sockets = list(_sockets(environ, home))
    reason, path = next((known for known in sockets if known[1].exists()), sockets[0])
    return Address(f"unix://{path}", reason)


def _sockets(environ: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    """Well-known sockets by the name of what makes them, in order of preference."""
    yield "the system's engine", Path("/var/run/docker.sock")
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield "rootless docker", Path(runtime) / "docker.sock"
    yield "Docker Desktop", home / ".docker" / "run" / "docker.sock"
    yield "Docker Desktop for Linux", home / ".docker" / "desktop" / "docker.sock"
    yield "Colima", home / ".colima" / "default" / "docker.sock"
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield "rootless podman", Path(runtime) / "podman" / "podman.sock"
    yield "podman", Path("/run/podman/podman.sock")


def _current_context(folder: Path) -> str:
    """The context that the docker CLI would use; empty when none is chosen."""
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return ""
    return str(config.get("currentContext") or "") if isinstance(config, dict) else ""


def _context_host(folder: Path, context: str) -> str:
    """The address that a docker context stands for."""
    for meta in sorted((folder / "contexts" / "meta").glob("*/meta.json")):
        data: dict[str, Any] = json.loads(meta.read_text())
        if data.get("Name") == context:
            return str(data["Endpoints"]["docker"]["Host"])
    raise EngineError(
        "the engine of a docker context",
        f"no context is named {context!r}",
        "choose one of `docker context ls` with DOCKER_CONTEXT or `docker context use`",
    )


def client(address: Address) -> docker.APIClient:
    """A client of that engine that has got an answer.

    Raises:
        EngineError: nobody answers, permission is denied, or the engine is too old.

    """
    import docker
    import docker.errors
    import docker.utils

    if address.url.startswith("ssh://") and importlib.util.find_spec("paramiko") is None:
        found = "the docker SDK needs paramiko for ssh, which is not installed"
        raise EngineError(f"the engine at {address.url} ({address.reason})", found, "pip install 'docker[ssh]'")
    try:
        # DOCKER_TLS_VERIFY and DOCKER_CERT_PATH belong to DOCKER_HOST, as with the docker CLI.
        tls = docker.utils.kwargs_from_env().get("tls") if address.reason == "DOCKER_HOST" else None
        api = docker.APIClient(base_url=address.url, version="auto", timeout=CONNECT_TIMEOUT, tls=tls or False)
    except docker.errors.DockerException as error:
        raise unreachable(address, error) from error
    # It is there; a busy one may take long to remove a container, say.
    api.timeout = ANSWER_TIMEOUT
    about: dict[str, Any] = api.version()
    version = str(about["Version"])
    if not _podman(about) and _numbers(version) < OLDEST_ENGINE:
        oldest = ".".join(map(str, OLDEST_ENGINE))
        raise EngineError(f"Docker Engine {oldest} or newer", f"{version} at {address.url}", "update the engine")
    return api


def _podman(about: Mapping[str, Any]) -> bool:
    """Whether podman answers behind the docker API; its version numbers mean something else."""
    components = about.get("Components") or []
    return any("podman" in str(part.get("Name", "")).lower() for part in components)


def _numbers(version: str) -> tuple[int, ...]:
    """`20.10.24+dfsg1` → (20, 10)."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def unreachable(address: Address, error: Exception) -> EngineError:
    """The clear form of a connection that failed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PermissionError) or "Permission denied" in str(cause):
            return EngineError(
                f"the container engine at {address.url} ({address.reason})",
                "permission denied on its socket",
                "join the group that owns it (`sudo usermod -aG docker $USER`, then log in again), or use sudo",
            )
        cause = cause.__cause__ or cause.__context__
    return EngineError(
        f"a container engine at {address.url} ({address.reason})",
        "no engine answers there",
        "start it, or let `envctl doctor --fix` install and start one; `envctl doctor` says more",
    )

"""The things envctl talks about, as frozen data. No behaviour beyond what the data itself says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT_LABEL = "envctl.environment"
OWNER_LABEL = "envctl.owner"
CONFIG_LABEL = "envctl.config"
MODEL_LABEL = "envctl.model"
ROLE_LABEL = "envctl.role"
RELAYED_LABEL = "envctl.relayed"
"""The host ports at which the relay takes a service's connections, as JSON: `{"5432": 15432}`."""
SERVICE_LABEL = "com.docker.compose.service"
PROJECT_LABEL = "com.docker.compose.project"

_EMPTY: Mapping[str, str] = MappingProxyType({})


class PortPolicy(StrEnum):
    """`prefer` the standard port and move when it is taken; `strict`: fail instead; `auto`: never the standard."""

    PREFER = "prefer"
    STRICT = "strict"
    AUTO = "auto"


class ImageSource(StrEnum):
    """Where an image may come from; `auto`: present, else pulled, else built."""

    AUTO = "auto"
    REGISTRY = "registry"
    PACKAGES = "packages"


class State(StrEnum):
    """What the engine says of a container (its own words), and `absent` where there is none."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who logs in. The password is in no repr, so in no log."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one service is reached from the tests' side, and as whom.

    `ports` maps the port's name (the first is the service's main one, named like the service) to the host port;
    it is empty for a service that publishes none. Identities are None where the service has none.
    """

    service: str
    host: str
    ports: Mapping[str, int]
    admin: Identity | None = None
    app: Identity | None = None

    @property
    def port(self) -> int:
        """The main port."""
        return next(iter(self.ports.values()))

    @property
    def address(self) -> str:
        """`host:port` of the main port."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Container:
    """One container as the engine saw it at one moment. Times are the engine's ISO-8601 strings.

    `ports` maps the container port to the host port, also while the container is stopped (the pinned binding).
    `finished_at` is the end of the run before while it runs, the year 1 in its first.
    """

    id: str
    name: str
    environment: str
    service: str
    image: str
    state: State
    health: str = ""
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    restarts: int = 0
    created: str = ""
    started_at: str = ""
    finished_at: str = ""
    ports: Mapping[int, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """One line of the engine's event stream that concerns a container: `start`, `die`, `oom`, `destroy` …"""

    container: str
    service: str
    action: str
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Resource:
    """Something on the engine or the host: `container`, `network`, `volume`, `process` or `port`."""

    kind: str
    name: str
    id: str
    environment: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that should be gone: what, where, why it is still there, since when, and which test left it."""

    kind: str
    where: str
    what: str
    reason: str = ""
    since: str = ""
    test: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.what} ({self.where})" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one service's log; `at` is the engine's ISO-8601 time."""

    service: str
    at: str
    text: str


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command in a container said. `output` holds both streams."""

    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One row of `status`. `ready_ms` is the time from `up` to the first true answer, None when unknown."""

    name: str
    state: str
    host: str
    port: int | None
    ports: Mapping[str, int]
    image: str
    image_source: str
    container: str
    ready_ms: int | None
    restarts: int

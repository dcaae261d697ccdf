"""What a service, an engine and a check must offer. Small mandatory protocols; everything else is a capability.

A verb never asks which service it has before it: it asks `isinstance(service, HasIdentities)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from envctl.model import Container, ContainerEvent, Endpoint, ExecResult, Identity, Leak, LogLine, Resource


class NotReady(Exception):
    """A probe's answer "not yet", with the reason as its message."""


class Lost(Exception):
    """There is nothing left to heal: what a fault was applied to is gone or was replaced. The message says what."""


@runtime_checkable
class Service(Protocol):
    """One kind of server that envctl can bring up.

    `ports` maps port name to container port, the main one first; `standard` maps port name to the host port that
    people expect.
    """

    name: str
    ports: Mapping[str, int]
    standard: Mapping[str, int]

    def ping(self, at: Endpoint, timeout: float) -> None:
        """Return when the service answered a real request, as the app identity, from here.

        `timeout` is in seconds and bounds this one attempt.

        Raises:
            NotReady: it did not; the message says what was seen.

        """
        ...


@runtime_checkable
class HasIdentities(Protocol):
    """A service with an admin (envctl's) and an app (the tests') identity.

    Passwords are made by envctl once per environment and reach the container as files, never as arguments.
    """

    admin_name: str
    app_name: str

    def secret_files(self, admin: Identity, app: Identity) -> Mapping[str, str]:
        """Content by name of compose secret; the compose file mounts them under `/run/secrets/`.

        `admin` is the admin's password, from which the app's can be found again; a service that knows one secret only
        has it as `app`. As few as can be: the engine needs 45 ms to copy one into a container (measured, 20.10).
        """
        ...

    def provision(self, at: Endpoint, timeout: float) -> None:
        """Create the app identity and its rights as admin; idempotent, also when two processes do it at once.

        Raises:
            NotReady: the service does not take administration yet.

        """
        ...


@runtime_checkable
class HasOptions(Protocol):
    """A service whose own settings can be set from the configuration (`services.<name>.options`) and by `--fast`."""

    fast: Mapping[str, str]
    """Options that buy speed with durability."""

    fast_cost: str
    """What `fast` costs, in one sentence for the user."""

    def apply_options(self, model: dict[str, Any], options: Mapping[str, str]) -> None:
        """Write the options into the service's compose model: command line or environment, in place."""
        ...


@runtime_checkable
class Advertises(Protocol):
    """A service that tells its clients its own address, so that it must know its host ports before it starts."""

    def advertise(self, model: dict[str, Any], ports: Mapping[str, int]) -> None:
        """Write the host ports (by port name) into the service's compose model, in place."""
        ...


@runtime_checkable
class HasVariables(Protocol):
    """A service whose connection data goes into `envctl env`."""

    def variables(self, at: Endpoint) -> Mapping[str, str]:
        """Names that libraries read by themselves, for the app identity."""
        ...

    def secret_variables(self) -> frozenset[str]:
        """Which of those names hold secrets, so that CI masks them."""
        ...


@runtime_checkable
class HasShell(Protocol):
    """A service with an interactive client in its container."""

    def shell(self, at: Endpoint) -> tuple[Sequence[str], Mapping[str, str]]:
        """The command to run in the container and the variables that carry its credentials."""
        ...


@runtime_checkable
class HasHandle(Protocol):
    """A service that gives Python users a handle: clients for the app identity."""

    def handle(self, at: Endpoint) -> object:
        """An object with `url`, and `connect()`, `client()` … as the service's users know them."""
        ...


class Engine(Protocol):
    """What envctl needs of a container engine; the seam for unit tests."""

    @property
    def host(self) -> str:
        """The address at which published ports are reached from here."""
        ...

    def info(self) -> Mapping[str, Any]:
        """What the engine says of itself, by its own names: `DockerRootDir`, `KernelVersion` …"""
        ...

    def containers(self, environment: str | None = None) -> tuple[Container, ...]:
        """All containers of one environment, or of all environments, stopped ones included."""
        ...

    def container(self, container_id: str) -> Container | None:
        """One container as it is now; None when it is gone."""
        ...

    def resources(self, environment: str | None = None) -> tuple[Resource, ...]:
        """Containers (sidecars too), networks and volumes that carry the label."""
        ...

    def remove(self, resource: Resource) -> str:
        """Remove one resource. Empty when it is gone afterwards (also when it was before), else the reason."""
        ...

    def stop(self, resource: Resource, grace: float) -> None:
        """Ask a container to end, and kill it after `grace` seconds; one that is gone is fine."""
        ...

    def exists(self, resource: Resource) -> bool:
        """Whether the resource is still there."""
        ...

    def events(self, environment: str) -> EventStream:
        """The engine's events for this environment's containers, from now on."""
        ...

    def logs(self, container: Container, *, tail: int | None = None, since: float | None = None) -> Sequence[LogLine]:
        """The log until now: the last `tail` lines, or all since a Unix time in seconds."""
        ...

    def follow(self, container: Container, *, tail: int | None = None, since: float | None = None) -> Iterator[LogLine]:
        """As `logs`, then every new line until the container ends."""
        ...

    def execute(self, container: Container, command: Sequence[str], timeout: float | None = None) -> ExecResult:
        """Run a command in the container and wait for it."""
        ...

    def read_file(self, container: Container, path: str) -> bytes | None:
        """A small file's content, also of a stopped container; None when there is none."""
        ...


class EventStream(Protocol):
    """An open stream of events; closing it from another thread ends the iteration."""

    def __iter__(self) -> Iterator[ContainerEvent]:
        """Events as they come, until closed."""
        ...

    def close(self) -> None:
        """End the iteration; idempotent."""
        ...


class LeakCheck(Protocol):
    """One kind of thing that must not remain."""

    name: str

    def check(self, environment: str) -> Sequence[Leak]:
        """What is still there now."""
        ...

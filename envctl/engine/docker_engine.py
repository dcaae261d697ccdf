"""The engine through the docker SDK: what is asked often, or streamed."""

from __future__ import annotations

import io
import tarfile
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from envctl.engine import answers, connect, look
from envctl.errors import EngineError
from envctl.model import (
    ENVIRONMENT_LABEL,
    ROLE_LABEL,
    SERVICE_LABEL,
    Container,
    ContainerEvent,
    ExecResult,
    LogLine,
    Resource,
    State,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    import docker
    from docker.types import CancellableStream

    from envctl.protocols import EventStream

T = TypeVar("T")

EVENTS = ("start", "die", "oom", "destroy", "restart", "health_status")
"""The container events that readiness listens to."""


_GONE = {404, 409}
"""HTTP statuses for a container that is not there, and for one that is being removed."""

_KILLED = 137
"""128 + SIGKILL: how a command ends whose container is killed."""


class DockerEngine:
    """One engine. Thread-safe: requests of the SDK each take a connection of a pool."""

    def __init__(self, address: connect.Address) -> None:
        self.address = address
        self._client: docker.APIClient | None = None

    @property
    def host(self) -> str:
        """The address at which published ports are reached from here."""
        return self.address.published_host

    @property
    def api(self) -> docker.APIClient:
        """The SDK's client, connected on first use.

        Raises:
            EngineError: the engine cannot be used.

        """
        if self._client is None:
            self._client = connect.client(self.address)
        return self._client

    def containers(self, environment: str | None = None) -> tuple[Container, ...]:
        """All service containers of one environment, or of all; sidecars are not among them."""
        filters = {"label": [_filter(environment)]}
        rows = self._look(look.containers(filters), lambda: self.api.containers(all=True, filters=filters))
        seen = (self.container(row["Id"]) for row in rows if ROLE_LABEL not in row["Labels"])
        return tuple(sorted(filter(None, seen), key=lambda c: (c.environment, c.service)))

    def container(self, container_id: str) -> Container | None:
        """One container as it is now; None when it is gone."""
        data = self._look(look.container(container_id), lambda: self._inspect(container_id))
        return answers.container(data) if data is not None else None

    def info(self) -> dict[str, Any]:
        """What the engine says of itself: where it keeps its data, the kernel under it."""
        found: dict[str, Any] = self._look(look.INFO, lambda: dict(self.api.info()))
        return found

    def _inspect(self, container_id: str) -> dict[str, Any] | None:
        import docker.errors

        try:
            return dict(self.api.inspect_container(container_id))
        except docker.errors.NotFound:
            return None

    def resources(self, environment: str | None = None) -> tuple[Resource, ...]:
        """Containers (sidecars too), networks and volumes that carry the label."""
        label = {"label": _filter(environment)}
        containers = self._ask(lambda: self.api.containers(all=True, filters=label))
        networks = self._ask(lambda: self.api.networks(filters=label))
        volumes = self._ask(lambda: self.api.volumes(filters=label))["Volumes"] or []
        return (
            *(answers.resource("container", c["Names"][0].lstrip("/"), c["Id"], c["Labels"]) for c in containers),
            *(answers.resource("network", n["Name"], n["Id"], n["Labels"]) for n in networks),
            *(answers.resource("volume", v["Name"], v["Name"], v["Labels"]) for v in volumes),
        )

    def remove(self, resource: Resource) -> str:
        """Remove one resource, a container with its anonymous volumes. Empty when it is gone, else the reason."""
        import docker.errors

        remove: dict[str, Callable[[], object]] = {
            "container": lambda: self.api.remove_container(resource.id, v=True, force=True),
            "network": lambda: self.api.remove_network(resource.id),
            "volume": lambda: self.api.remove_volume(resource.id),
        }
        try:
            self._ask(remove[resource.kind])
        except docker.errors.NotFound:
            return ""
        except docker.errors.APIError as error:
            return str(error.explanation or error)
        return ""

    def stop(self, resource: Resource, grace: float) -> None:
        """Ask a container to end, and kill it after `grace` seconds; one that is gone is fine."""
        import docker.errors

        with suppress(docker.errors.NotFound):
            self._ask(lambda: self.api.stop(resource.id, timeout=max(1, round(grace))))

    def unpause(self, container: Container) -> None:
        """Let a paused container go on."""
        self._ask(lambda: self.api.unpause(container.id))

    def publisher(self, port: int) -> str:
        """The container that publishes a host port, as `container NAME`; empty when there is none."""
        rows = self._ask(lambda: self.api.containers(filters={"publish": str(port)}))
        names = [row["Names"][0].lstrip("/") for row in rows if any(p.get("PublicPort") == port for p in row["Ports"])]
        return f"container {names[0]}" if names else ""

    def exists(self, resource: Resource) -> bool:
        """Whether the resource is still there."""
        import docker.errors

        inspect: dict[str, Callable[[], object]] = {
            "container": lambda: self.api.inspect_container(resource.id),
            "network": lambda: self.api.inspect_network(resource.id),
            "volume": lambda: self.api.inspect_volume(resource.id),
        }
        try:
            self._ask(inspect[resource.kind])
        except docker.errors.NotFound:
            return False
        return True

    def events(self, environment: str) -> EventStream:
        """The engine's events for this environment's containers, from now on."""
        filters = {"type": "container", "label": _filter(environment), "event": list(EVENTS)}
        # The SDK asks for them without any time limit.
        ask = partial(self.api.events, filters=filters, decode=True)
        return _Events(self._ask(lambda: within(connect.ANSWER_TIMEOUT, ask, "events")))

    def logs(self, container: Container, *, tail: int | None = None, since: float | None = None) -> Sequence[LogLine]:
        """The log until now: the last `tail` lines, or all since a Unix time in seconds."""
        return list(self._log(container, tail, since, follow=False))

    def follow(self, container: Container, *, tail: int | None = None, since: float | None = None) -> Iterator[LogLine]:
        """As `logs`, then every new line until the container ends."""
        return self._log(container, tail, since, follow=True)

    def _log(self, container: Container, tail: int | None, since: float | None, *, follow: bool) -> Iterator[LogLine]:
        """Lines with the engine's time stamps. A container that is gone, or is just being removed, has no lines."""
        options: dict[str, Any] = {"since": since} if since is not None else {}
        options |= {"timestamps": True, "follow": follow, "tail": tail if tail is not None else "all"}
        # A stream has no time limit: what ends by itself does not come so.
        options["stream"] = follow
        with _unless_gone():
            said = self._ask(lambda: self.api.logs(container.id, **options))
            for line in answers.lines(said if follow else iter([said])):
                at, _, text = line.partition(" ")
                yield LogLine(container.service, at, text)

    def execute(self, container: Container, command: Sequence[str], timeout: float | None = None) -> ExecResult:
        """Run a command in the container and wait for it; one whose container is gone, or goes, ends with 137.

        Raises:
            TimeoutError: it did not end within `timeout` seconds (it runs on in the container).
            EngineError: the engine refuses, though the container runs.

        """
        import docker.errors

        try:
            created = self._ask(lambda: self.api.exec_create(container.id, list(command)))
            output = within(timeout, lambda: self.api.exec_start(created["Id"]), " ".join(command[:1]))
            code = self._ask(lambda: self.api.exec_inspect(created["Id"]))["ExitCode"]
        except docker.errors.APIError as error:
            now = self.container(container.id)
            if now is not None and now.state is State.RUNNING:
                raise EngineError(f"a command in {container.name}", str(error.explanation or error)) from error
            return ExecResult(_KILLED, "its container runs no more")
        # None: the container went before the engine could note how its command ended.
        return ExecResult(_KILLED if code is None else int(code), output.decode(errors="replace"))

    def read_file(self, container: Container, path: str) -> bytes | None:
        """A small file's content, also of a stopped container; None when there is none."""
        stream = None
        with _unless_gone():
            stream, _ = self._ask(lambda: self.api.get_archive(container.id, path))
        if stream is None:
            return None
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            member = archive.extractfile(archive.next() or tarfile.TarInfo())
            return member.read() if member else None

    def _look(self, target: str, otherwise: Callable[[], Any]) -> Any:  # noqa: ANN401 - the engine's JSON
        """A question that is asked often: over the socket where there is one, else through the SDK."""
        if self.address.socket is None:
            return self._ask(otherwise)
        try:
            return look.ask(self.address.socket, target, connect.CONNECT_TIMEOUT)
        except OSError as error:
            raise connect.unreachable(self.address, error) from error

    def _ask(self, request: Callable[[], Any]) -> Any:  # noqa: ANN401 - the SDK's answers are untyped JSON
        """One request; an engine that went away is an EngineError, whatever the transport calls it."""
        import requests.exceptions

        try:
            return request()
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise connect.unreachable(self.address, error) from error
        except (requests.exceptions.Timeout, TimeoutError) as error:
            raise EngineError(
                f"an answer of the engine at {self.address.url}",
                f"none within {connect.ANSWER_TIMEOUT:g} s",
                "see whether the machine is overloaded; `envctl doctor` says more",
            ) from error


class _Events:
    """The SDK's stream as an `EventStream`."""

    def __init__(self, stream: CancellableStream[dict[str, Any]]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[ContainerEvent]:
        for event in self._stream:
            attributes = event["Actor"]["Attributes"]
            yield ContainerEvent(
                event["Actor"]["ID"],
                attributes.get(SERVICE_LABEL, ""),
                event["Action"],
                int(attributes.get("exitCode") or 0),
            )

    def close(self) -> None:
        """End the iteration; idempotent."""
        # The SDK finds no socket any more when the engine itself ended the stream: then it is closed already.
        with suppress(OSError, AttributeError):
            self._stream.close()


@contextmanager
def _unless_gone() -> Iterator[None]:
    """Let a question about a container that is not there any more, or on its way out (409), come to nothing."""
    import docker.errors

    try:
        yield
    except docker.errors.APIError as error:
        if error.status_code not in _GONE:
            raise


def _filter(environment: str | None) -> str:
    return ENVIRONMENT_LABEL if environment is None else f"{ENVIRONMENT_LABEL}={environment}"


def within(timeout: float | None, call: Callable[[], T], what: str) -> T:
    """`call`'s result, or TimeoutError: for requests of the SDK that have no time limit of their own."""
    import threading
    from concurrent.futures import Future as NewFuture

    future: Future[T] = NewFuture()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001 - handed to the caller by the future
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name=f"exec-{what}").start()
    return future.result(timeout)

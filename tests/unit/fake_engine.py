"""An engine of the tests' own, at the one seam that envctl has for it: `protocols.Engine`."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from envctl.model import Container, ContainerEvent, LogLine, Resource, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from envctl.model import ExecResult

ENVIRONMENT = "shop"


def container(service: str, state: State = State.RUNNING, **data: object) -> Container:
    """A container of `shop`; its id is the service's name."""
    return Container(service, f"envctl-shop-{service}-1", ENVIRONMENT, service, f"{service}:1", state, **data)


class FakeStream:
    """Events that a test sends; ends when it is closed, or when the test ends it as a dying engine would."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[ContainerEvent | None] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[ContainerEvent]:
        """Until closed."""
        return iter(self._events.get, None)

    def send(self, service: str, action: str) -> None:
        """One event of the service's container."""
        self._events.put(ContainerEvent(service, service, action))

    def close(self) -> None:
        """End the iteration."""
        self._events.put(None)


@dataclass
class FakeEngine:
    """Holds containers and resources; remembers what was done to it.

    `refusals` are the reasons why a resource (by id) cannot be removed, one a try; `broken` makes a method raise.
    """

    now: dict[str, Container] = field(default_factory=dict)
    things: dict[str, Resource] = field(default_factory=dict)
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)
    files: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    refusals: dict[str, Iterator[str]] = field(default_factory=dict)
    broken: dict[str, BaseException] = field(default_factory=dict)
    done: list[tuple[str, str]] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    stream: FakeStream = field(default_factory=FakeStream)
    listening: threading.Event = field(default_factory=threading.Event)
    host: str = "127.0.0.1"

    def info(self) -> dict[str, object]:
        """What the test says that the engine says of itself."""
        return self.facts

    def put(self, *containers: Container) -> FakeEngine:
        """Have these containers."""
        self.now |= {container.id: container for container in containers}
        return self

    def change(self, service: str, action: str = "", **data: object) -> None:
        """Let a container change, and say so by an event unless `action` is empty."""
        self.now[service] = replace(self.now[service], **data)
        if action:
            self.stream.send(service, action)

    def _called(self, method: str) -> None:
        self.asked[method] += 1
        if method in self.broken:
            raise self.broken[method]

    def containers(self, environment: str | None = None) -> tuple[Container, ...]:
        """All, or those of one environment."""
        self._called("containers")
        return tuple(c for c in self.now.values() if environment in {None, c.environment})

    def container(self, container_id: str) -> Container | None:
        """One as it is now."""
        self._called("container")
        return self.now.get(container_id)

    def resources(self, environment: str | None = None) -> tuple[Resource, ...]:
        """What carries the label."""
        self._called("resources")
        return tuple(r for r in self.things.values() if environment in {None, r.environment})

    def remove(self, resource: Resource) -> str:
        """Remove one, unless there is still a refusal for it."""
        self._called("remove")
        if reason := next(self.refusals.get(resource.id, iter(())), ""):
            self.done.append(("refused", resource.id))
            return reason
        self.done.append(("removed", resource.id))
        self.things.pop(resource.id, None)
        self.now.pop(resource.id, None)
        return ""

    def stop(self, resource: Resource, grace: float) -> None:
        """Note that it was asked to end."""
        self._called("stop")
        self.done.append((f"stopped {grace:g}", resource.id))

    def exists(self, resource: Resource) -> bool:
        """Whether it is still there."""
        return resource.id in self.things

    def events(self, environment: str) -> FakeStream:
        """The stream that the test sends to."""
        assert environment == ENVIRONMENT
        self._called("events")
        self.listening.set()
        return self.stream

    def logs(self, container: Container, *, tail: int | None = None, since: float | None = None) -> list[LogLine]:
        """The lines of the service; `TIME TEXT` each."""
        self._called("logs")
        assert since is None or since > 0
        lines = [line.partition(" ") for line in self.lines.get(container.service, ())]
        return [LogLine(container.service, at, text) for at, _, text in lines][-(tail or 0) :]

    def follow(self, container: Container, *, tail: int | None = None, since: float | None = None) -> Iterator[LogLine]:
        """The lines, then the end."""
        self._called(f"follow {container.service}")
        yield from self.logs(container, tail=tail, since=since)

    def execute(self, container: Container, command: Sequence[str], timeout: float | None = None) -> ExecResult:
        """No test here runs anything in a container."""
        raise AssertionError((container, command, timeout))

    def read_file(self, container: Container, path: str) -> bytes | None:
        """A file of a container."""
        self._called("read_file")
        return self.files.get((container.service, path))


if TYPE_CHECKING:
    from envctl.protocols import Engine

    _engine: Callable[[], Engine] = FakeEngine

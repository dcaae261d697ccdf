"""The ways in which a service of the user's can show that it is ready."""

from __future__ import annotations

import datetime as dt
import math
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from envctl.model import State
from envctl.protocols import NotReady
from envctl.services.wire import CLOSED, network_reason

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping

    from envctl.model import Container, Endpoint
    from envctl.protocols import Engine

SILENCE = 0.2
"""Seconds for which a connection must stay open. The engine's port proxy accepts for a dead port and hangs up as soon
as the container refuses: in a millisecond or two (Spring Boot and Gradle use the same test and the same time)."""

STEADY = 1.0
"""Seconds for which a container without any other sign must run without a restart."""

_REASON_LENGTH = 120

_BOUNDED = 'if command -v timeout >/dev/null; then exec timeout "$0" sh -c "$1"; else exec sh -c "$1"; fi'


@dataclass(frozen=True)
class Subject:
    """One service at one attempt: where it is, and how to look at its container."""

    engine: Engine
    observe: Callable[[], Container | None]
    at: Endpoint
    port_names: Mapping[int, str]
    timeout: float

    def host_port(self, target: int) -> int:
        """The host port of a container port."""
        port = self.at.ports.get(self.port_names[target])
        if port is None:
            raise NotReady(f"port {target} is not published yet")
        return port

    def running(self) -> Container:
        """The container, which runs."""
        container = self.observe()
        if container is None or container.state is not State.RUNNING:
            raise NotReady(f"the container is {container.state if container else State.ABSENT}")
        return container


class Rule(Protocol):
    """One sign of readiness."""

    def check(self, subject: Subject) -> None:
        """Return when it is there.

        Raises:
            NotReady: it is not, with what was seen.

        """
        ...


@dataclass(frozen=True)
class Http:
    """A GET of `path` on a published port is answered by 2xx or 3xx."""

    target: int
    path: str

    def check(self, subject: Subject) -> None:
        """Ask once."""
        import http.client

        port = subject.host_port(self.target)
        connection = http.client.HTTPConnection(subject.at.host, port, timeout=subject.timeout)
        try:
            connection.request("GET", self.path)
            status = connection.getresponse().status
        except OSError as error:
            raise NotReady(f"GET {self.path}: {network_reason(error, subject.timeout)}") from error
        except http.client.HTTPException as error:
            raise NotReady(f"GET {self.path}: what answers is not HTTP") from error
        finally:
            connection.close()
        if not 200 <= status < 400:  # noqa: PLR2004 - the classes of success and redirection
            raise NotReady(f"GET {self.path} answered {status}")


@dataclass(frozen=True)
class Tcp:
    """A connection to a published port is taken, and is not closed at once."""

    target: int

    def check(self, subject: Subject) -> None:
        """Connect, then wait a moment for the first byte: silence and data are fine, a closed connection is not."""
        address = (subject.at.host, subject.host_port(self.target))
        try:
            connection = socket.create_connection(address, subject.timeout)
        except OSError as error:
            raise NotReady(network_reason(error, subject.timeout)) from error
        with connection:
            connection.settimeout(SILENCE)
            try:
                closed = not connection.recv(1)
            except TimeoutError:
                return
            except OSError as error:
                raise NotReady(network_reason(error, SILENCE)) from error
        if closed:
            raise NotReady(CLOSED)


@dataclass
class Log:
    """A line of the log of this run matches.

    This run's lines come after the end of the run before, and not always after its start: the engine notes that when
    the program runs already, so that a quick one's first lines are older (seen in three of eight starts).
    """

    pattern: re.Pattern[str]
    _start: str = field(default="", init=False)
    _read: float | None = field(default=None, init=False)

    def check(self, subject: Subject) -> None:
        """Read what came since the last attempt; a restart begins anew."""
        container = subject.running()
        if container.started_at != self._start:
            self._start, self._read = container.started_at, _unix(container.finished_at)
        lines = subject.engine.logs(container, since=self._read)
        if any(self.pattern.search(line.text) for line in lines):
            return
        if lines:
            self._read = _unix(lines[-1].at)
        raise NotReady(f"no line of the log matches {self.pattern.pattern!r}")


@dataclass(frozen=True)
class Exec:
    """A command in the container, run by its shell, ends with 0."""

    command: str

    def check(self, subject: Subject) -> None:
        """Run it once. The engine cannot end what it started, so `timeout` does, in every image that has it."""
        seconds = math.ceil(subject.timeout)
        command = ["sh", "-c", _BOUNDED, str(seconds), self.command]
        try:
            result = subject.engine.execute(subject.running(), command, seconds + 1)
        except TimeoutError as error:
            raise NotReady(f"{self.command!r} did not end within {seconds} s") from error
        if result.exit_code:
            last = (result.output.strip().splitlines() or [""])[-1][:_REASON_LENGTH]
            raise NotReady(f"{self.command!r} ended with {result.exit_code}" + (f": {last}" if last else ""))


@dataclass
class Settled:
    """Without a label: the container's healthcheck says healthy; without one, it runs and does not restart."""

    _seen: tuple[str, str, int] | None = field(default=None, init=False)
    _since: float = field(default=0, init=False)

    def check(self, subject: Subject) -> None:
        """Look once. What was seen before is kept, so that nothing has to sleep here."""
        container = subject.running()
        if container.health:
            if container.health != "healthy":
                raise NotReady(f"its healthcheck says {container.health}")
            return
        now, seen = time.monotonic(), (container.id, container.started_at, container.restarts)
        if seen != self._seen:
            self._seen, self._since = seen, now
        if now - self._since < STEADY:
            raise NotReady(f"has run for {now - self._since:.1f} s of {STEADY:g} s without a restart")


def _unix(at: str) -> float | None:
    """The engine's time (nanoseconds, Z) as Unix seconds; None for its "never", which is the year 1."""
    try:
        seconds = dt.datetime.fromisoformat(at).timestamp()
    except ValueError:
        return None
    return seconds if seconds > 0 else None

"""What the labels of a user's own service mean, and what is wrong with them."""

from __future__ import annotations

import http.server
import re
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from envctl.errors import ConfigurationError
from envctl.model import Container, Endpoint, ExecResult, LogLine, State
from envctl.protocols import NotReady
from envctl.services.labelled import Labelled, is_on, label_problems
from envctl.services.labelled.rules import STEADY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MODEL = {"ports": [{"target": 8080, "published": "18080"}, {"target": 9000}, {"target": 53, "protocol": "udp"}]}
RUNNING = Container("c1", "mine", "e", "mine", "i", State.RUNNING, started_at="2026-11-21T05:00:00.123456789Z")
SUCCESS = ExecResult(0, "")


class FakeEngine:
    """An engine that only knows a log and the answer of a command."""

    host = "127.0.0.1"

    def __init__(self, log: Sequence[LogLine] = (), result: ExecResult = SUCCESS) -> None:
        self.log, self.result = list(log), result
        self.asked_since: list[float | None] = []
        self.commands: list[Sequence[str]] = []

    def logs(self, _: Container, *, tail: int | None = None, since: float | None = None) -> Sequence[LogLine]:
        """The whole log, whatever was asked."""
        assert tail is None
        self.asked_since.append(since)
        return self.log

    def execute(self, _: Container, command: Sequence[str], timeout: float | None = None) -> ExecResult:
        """The prepared answer."""
        assert timeout
        self.commands.append(command)
        return self.result


def labelled(
    labels: Mapping[str, str],
    engine: FakeEngine | None = None,
    observe: Callable[[], Container | None] = lambda: RUNNING,
) -> Labelled:
    """A service with these labels."""
    return Labelled.from_labels("mine", labels, MODEL, engine=engine or FakeEngine(), observe=observe)


def at(port: int = 1) -> Endpoint:
    """Its endpoint, the main port there."""
    return Endpoint("mine", "127.0.0.1", {"mine": port, "9000": port})


@contextmanager
def web(status: int) -> Iterator[int]:
    """A web server that answers everything with one status; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def tcp(behave: Callable[[socket.socket], object]) -> Iterator[int]:
    """A server that takes one connection, does something with it, and holds it until the test is done; its port."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                behave(connection)
                done.wait(10)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            done.set()
            thread.join(10)


@pytest.mark.parametrize(
    ("label", "value", "told"),
    [
        ("envctl.ready.htp", ":8080/", "did you mean 'envctl.ready.http'?"),
        ("envctl.colour", "blue", "there are: envctl.ignore, envctl.oneshot"),
        ("envctl.ready.log", "ready (", "not a regular expression: missing )"),
        ("envctl.ready.log", " ", "wants a regular expression"),
        ("envctl.ready.exec", "", "wants a command"),
        ("envctl.ready.http", "http://x/", "wants a port of the container and a path"),
        ("envctl.ready.tcp", ":9000/x", "wants a port of the container"),
        (
            "envctl.ready.tcp",
            ":7000",
            "port 7000 of the container is not published under `ports:` (published: 8080, ",
        ),
        ("envctl.ready.http", ":18080/health", "port 18080 is the host's; wants the container's, 8080"),
        ("envctl.ready.tcp", ":53", "port 53 of the container is not published"),
        ("envctl.oneshot", "perhaps", "wants true or false, not 'perhaps'"),
        ("envctl.profile", "core, my profile", "'my profile' cannot be the name of a profile"),
    ],
)
def test_a_wrong_label_is_named_with_what_it_wants(label: str, value: str, told: str) -> None:
    """Each kind of mistake, with the place in the compose file."""
    (problem,) = label_problems("mine", {label: value}, MODEL)
    assert problem.key == f"services.mine.labels.{label}"
    assert told in problem.message


def test_all_wrong_labels_are_reported_at_once() -> None:
    """So that they are mended in one go; other people's labels are none of envctl's business."""
    labels = {"envctl.ready.tcp": "x", "envctl.ready.log": "(", "envctl.once": "true", "com.example": "x"}
    assert len(label_problems("mine", labels, MODEL)) == 3


def test_right_labels_have_no_problems() -> None:
    """All of them, and those that envctl itself puts on containers."""
    labels = {
        "envctl.ready.http": ":8080/health",
        "envctl.ready.tcp": "9000",
        "envctl.ready.log": "^ready$",
        "envctl.ready.exec": "true",
        "envctl.oneshot": "false",
        "envctl.ignore": "no",
        "envctl.profile": "core,mine",
        "envctl.environment": "e",
    }
    assert label_problems("mine", labels, MODEL) == []


def test_a_rule_that_cannot_be_understood_is_no_service() -> None:
    """It is refused instead of ignored."""
    with pytest.raises(ConfigurationError, match="not a regular expression"):
        labelled({"envctl.ready.log": "("})


def test_the_main_port_is_the_first_published_one() -> None:
    """It has the service's name; the others their number; UDP is not reached by clients here."""
    service = labelled({})
    assert service.ports == {"mine": 8080, "9000": 9000}
    assert service.standard == {"mine": 18080, "9000": 9000}


@pytest.mark.parametrize("status", [200, 204, 302])
def test_http_success_and_redirection_are_ready(status: int) -> None:
    """2xx and 3xx."""
    with web(status) as port:
        labelled({"envctl.ready.http": ":8080/health"}).ping(at(port), 1)


@pytest.mark.parametrize("status", [404, 500, 503])
def test_http_errors_are_not_ready(status: int) -> None:
    """The reason is the status."""
    with web(status) as port, pytest.raises(NotReady, match=f"GET /health answered {status}"):
        labelled({"envctl.ready.http": ":8080/health"}).ping(at(port), 1)


def test_a_closed_port_is_not_ready() -> None:
    """Refused."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for labels in ({"envctl.ready.http": ":8080/"}, {"envctl.ready.tcp": ":8080"}):
        with pytest.raises(NotReady, match="connection refused"):
            labelled(labels).ping(at(port), 1)


def test_a_connection_that_stays_open_is_ready() -> None:
    """A server that waits for its client to speak."""
    with tcp(lambda _: None) as port:
        labelled({"envctl.ready.tcp": ":8080"}).ping(at(port), 1)


def test_a_server_that_speaks_first_is_ready() -> None:
    """At its first byte."""
    with tcp(lambda connection: connection.sendall(b"220 hello\r\n")) as port:
        labelled({"envctl.ready.tcp": ":8080"}).ping(at(port), 1)


def test_a_connection_that_is_closed_at_once_is_not_ready() -> None:
    """What the engine's port proxy does for a dead port."""
    with tcp(lambda connection: connection.shutdown(socket.SHUT_RDWR)) as port, pytest.raises(NotReady, match="closed"):
        labelled({"envctl.ready.tcp": ":8080"}).ping(at(port), 1)


def test_a_matching_line_of_the_log_is_ready() -> None:
    """Found anywhere in the line."""
    engine = FakeEngine([LogLine("mine", "2026-11-21T05:00:01Z", "server is ready at last")])
    labelled({"envctl.ready.log": "is ready"}, engine).ping(at(), 1)


def test_the_log_is_read_on_from_where_it_was_read_to() -> None:
    """First whole, then from the last line; after a restart from the end of the run before, not from the start.

    The engine notes a start when the program runs already: its first lines may be older than that.
    """
    engine = FakeEngine([LogLine("mine", "1970-01-01T00:00:07Z", "starting")])
    first = _container(started_at="1970-01-01T00:00:05Z", finished_at="0001-01-01T00:00:00Z")
    second = _container(started_at="1970-01-01T00:00:09Z", finished_at="1970-01-01T00:00:08Z")
    seen = iter([first, first, second])
    service = labelled({"envctl.ready.log": "ready"}, engine, lambda: next(seen))
    for _ in range(3):
        with pytest.raises(NotReady, match="no line of the log matches 'ready'"):
            service.ping(at(), 1)
    assert engine.asked_since == [None, 7.0, 8.0]


def test_a_command_that_succeeds_is_ready() -> None:
    """It is run by the container's shell."""
    engine = FakeEngine()
    labelled({"envctl.ready.exec": "check --all"}, engine).ping(at(), 1)
    assert engine.commands[0][-1] == "check --all"


def test_a_command_that_fails_is_not_ready() -> None:
    """The reason holds its code and last line."""
    engine = FakeEngine(result=ExecResult(3, "one\nno database\n"))
    with pytest.raises(NotReady, match=re.escape("'check' ended with 3: no database")):
        labelled({"envctl.ready.exec": "check"}, engine).ping(at(), 1)


def test_several_rules_must_all_hold() -> None:
    """The first that does not is the reason."""
    engine = FakeEngine([LogLine("mine", "2026-11-21T05:00:01Z", "ready")], ExecResult(1, ""))
    with pytest.raises(NotReady, match="'check' ended with 1"):
        labelled({"envctl.ready.log": "ready", "envctl.ready.exec": "check"}, engine).ping(at(), 1)


@pytest.mark.parametrize("health", ["starting", "unhealthy"])
def test_without_a_label_the_healthcheck_decides(health: str) -> None:
    """Only healthy is ready."""
    with pytest.raises(NotReady, match=f"its healthcheck says {health}"):
        labelled({}, observe=lambda: _container(health=health)).ping(at(), 1)
    labelled({}, observe=lambda: _container(health="healthy")).ping(at(), 1)


def test_without_label_and_healthcheck_it_must_run_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first look on; a restart begins anew."""
    clock = [100.0]
    monkeypatch.setattr("envctl.services.labelled.rules.time.monotonic", lambda: clock[0])
    restarts = [0]
    service = labelled({}, observe=lambda: _container(restarts=restarts[0]))
    for now, restarted, ready in ((0, 0, False), (STEADY / 2, 1, False), (STEADY, 1, False), (2 * STEADY, 1, True)):
        clock[0], restarts[0] = 100.0 + now, restarted
        if ready:
            service.ping(at(), 1)
        else:
            with pytest.raises(NotReady, match="without a restart"):
                service.ping(at(), 1)


@pytest.mark.parametrize("state", [State.RESTARTING, State.EXITED, State.PAUSED])
def test_a_container_that_does_not_run_is_not_ready(state: State) -> None:
    """Its state is the reason."""
    with pytest.raises(NotReady, match=f"the container is {state}"):
        labelled({}, observe=lambda: _container(state=state)).ping(at(), 1)


def test_a_container_that_is_gone_is_not_ready() -> None:
    """Absent."""
    with pytest.raises(NotReady, match="the container is absent"):
        labelled({}, observe=lambda: None).ping(at(), 1)


@pytest.mark.parametrize(("value", "on"), [("true", True), ("Yes", True), ("1", True), ("false", False), (None, False)])
def test_a_switch_is_on_or_off(value: str | None, on: bool) -> None:
    """As compose files write it."""
    assert is_on(value) is on


def _container(**changes: object) -> Container:
    return replace(RUNNING, **changes)  # type: ignore[arg-type]

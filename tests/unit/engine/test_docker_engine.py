"""Questions to an engine that falls silent: they end, in one error that says so."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from typing import TYPE_CHECKING, Any

import pytest

from envctl.engine import connect
from envctl.engine.docker_engine import DockerEngine
from envctl.errors import EngineError
from envctl.model import Container, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SHORT = 0.5


class Silent(http.server.BaseHTTPRequestHandler):
    """Says who it is, and begins to answer everything else; `over` ends that."""

    over: threading.Event

    def do_GET(self) -> None:
        """Events have not even a beginning."""
        known: dict[str, Any] = {
            "version": {"Version": "20.10.24", "ApiVersion": "1.41"},
            "json": {"Config": {"Tty": False}},
        }
        answer = known.get(self.path.rpartition("/")[2])
        if answer is None and "/events" not in self.path:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.flush()
        if answer is None:
            self.over.wait(60)
            return
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        """A Unix socket has no address."""
        return ""


class Server(socketserver.ThreadingUnixStreamServer):
    """Its conversations end with the test."""

    daemon_threads = True


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerEngine]:
    """One that is asked with little patience."""
    monkeypatch.setattr(connect, "ANSWER_TIMEOUT", SHORT)
    path, over = tmp_path / "engine.sock", threading.Event()
    with Server(str(path), type("Handler", (Silent,), {"over": over})) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        made = DockerEngine(connect.Address(f"unix://{path}", "test"))
        yield made
        over.set()
        made.api.close()
        server.shutdown()


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine: engine.logs(Container("id", "name", "env", "redis", "image", State.RUNNING)),
        lambda engine: engine.events("env"),
    ],
    ids=["logs", "events"],
)
def test_an_engine_that_falls_silent_is_told(engine: DockerEngine, ask: Callable[[DockerEngine], object]) -> None:
    """The SDK would wait for ever."""
    with pytest.raises(EngineError):
        ask(engine)

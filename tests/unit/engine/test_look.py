"""A look at the engine over its socket."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from envctl.engine import look

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("body", [b'[{"Id": "abc', b""])
def test_an_engine_that_dies_while_it_answers_is_one_that_does_not_answer(tmp_path: Path, body: bytes) -> None:
    """Whoever waits for it to come back asks again."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        engine.listen()

        def answer() -> None:
            one, _ = engine.accept()
            with one:
                one.recv(65536)
                one.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(OSError, match="in the middle of an answer"):
            look.ask(path, look.INFO, 10)
        thread.join(10)

"""A door to the engine that can be shut: what an engine that restarts looks like to those who talk to it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ENGINE = "/var/run/docker.sock"


class Door:
    """A socket that leads to the engine's while it is open; shutting it ends every conversation through it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._changing = threading.Lock()

    @property
    def url(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.path}"

    def open(self) -> None:
        """Let everybody through."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Nobody comes through, and who is inside is thrown out."""
        with self._changing:
            if self._listener is not None:
                self.path.unlink(missing_ok=True)
                for one in (self._listener, *self._open):
                    with suppress(OSError):
                        one.shutdown(socket.SHUT_RDWR)
                    one.close()
                self._listener, self._open = None, []

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # shut
            while True:
                here, _ = listener.accept()
                there = socket.socket(socket.AF_UNIX)
                with self._changing:
                    if self._listener is not listener:  # shut: nobody else would close these
                        here.close()
                        there.close()
                        return
                    self._open += [here, there]
                there.connect(ENGINE)
                for source, sink in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

"""Refuses every gRPC call to one port, in the network namespace in which it runs.

    python3 -c … begin NAME PORT PID SECONDS STATUS MESSAGE

`begin` returns when the gate stands: the process that answers in the server's place, and the way to it by the table
NAME; `redirect` tells of it and ends it. It ends by itself after SECONDS, by SIGTERM, or when the server's process PID
does, and takes its table with it; soon after its own SIGKILL the kernel leads nobody to it any more. It prints one line
of JSON.

HTTP/2 by RFC 9113: no header is decoded, and what is sent is one trailers-only answer for each call.
"""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from envctl.engine.gates import redirect

if TYPE_CHECKING:
    import socket

_PREFACE, _HEADER = 24, 9
_DATA, _HEADERS, _SETTINGS, _PING, _GOAWAY, _WINDOW, _CONTINUATION, _RESET = 0x0, 0x1, 0x4, 0x6, 0x7, 0x8, 0x9, 0x3
_ACK, _END_STREAM, _END_HEADERS = 0x1, 0x1, 0x4
_LAST_STREAM, _LOOK = (1 << 31) - 1, 0.2


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content


def refusal(stream: int, status: int, message: str) -> bytes:
    """A call's whole answer: headers that are trailers too, and that no more of the call is wanted."""
    escaped = "".join(c if " " <= c <= "~" and c != "%" else "".join(f"%{b:02X}" for b in c.encode()) for c in message)
    fields = {"content-type": "application/grpc", "grpc-status": str(status), "grpc-message": escaped[:100]}
    # HPACK: `:status 200` is number 8 of the static table; the others are literals that enter no table.
    block = b"\x88" + b"".join(
        b"\x00" + b"".join(bytes([len(word)]) + word.encode() for word in pair) for pair in fields.items()
    )
    return frame(_HEADERS, _END_STREAM | _END_HEADERS, stream, block) + frame(_RESET, 0, stream, bytes(4))


class Conversation:
    """One client's connection: bytes in, bytes out."""

    def __init__(self, status: int, message: str) -> None:
        self._answer = (status, message)
        self._buffer, self._greeted = b"", False

    def receive(self, data: bytes) -> bytes:
        """What to send after these bytes."""
        self._buffer += data
        sent = b""
        if not self._greeted and len(self._buffer) >= _PREFACE:
            self._buffer, self._greeted = self._buffer[_PREFACE:], True
            sent += frame(_SETTINGS, 0, 0)
        while self._greeted and len(self._buffer) >= _HEADER:
            size = int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < _HEADER + size:
                break
            kind, flags, stream = self._buffer[3], self._buffer[4], int.from_bytes(self._buffer[5:_HEADER], "big")
            content, self._buffer = self._buffer[_HEADER : _HEADER + size], self._buffer[_HEADER + size :]
            sent += self._reply(kind, flags, stream, content)
        return sent

    def _reply(self, kind: int, flags: int, stream: int, content: bytes) -> bytes:
        if kind in {_SETTINGS, _PING} and not flags & _ACK:
            return frame(kind, _ACK, 0, content if kind == _PING else b"")
        if kind == _DATA and content:
            # A message that nobody reads must not use up what the connection may send.
            return frame(_WINDOW, 0, 0, len(content).to_bytes(4, "big"))
        if kind in {_HEADERS, _CONTINUATION} and flags & _END_HEADERS:
            return refusal(stream, *self._answer)
        return b""


class Gate:
    """Listens, and refuses."""

    def __init__(self, status: int, message: str) -> None:
        self._answer = (status, message)
        self.listener = redirect.listen()
        self.port: int = self.listener.getsockname()[1]
        self._poll = select.poll()
        self._poll.register(self.listener, select.POLLIN)
        self._clients: dict[int, tuple[socket.socket, Conversation]] = {}

    def serve(self, seconds: float) -> None:
        """Answer whoever speaks within this time."""
        for descriptor, _ in redirect.polled(self._poll.poll, seconds * 1000):
            if descriptor == self.listener.fileno():
                self._accept()
            else:
                self._talk(descriptor)

    def close(self) -> None:
        """Send everybody away; they may come back."""
        self.listener.close()
        for client, _ in self._clients.values():
            with suppress(OSError):
                client.send(frame(_GOAWAY, 0, 0, _LAST_STREAM.to_bytes(4, "big") + bytes(4)))
            client.close()

    def _accept(self) -> None:
        client, _ = self.listener.accept()
        client.settimeout(1.0)
        self._clients[client.fileno()] = (client, Conversation(*self._answer))
        self._poll.register(client, select.POLLIN)

    def _talk(self, descriptor: int) -> None:
        client, conversation = self._clients[descriptor]
        try:
            data = client.recv(65536)
            if data:
                client.sendall(conversation.receive(data))
                return
        except OSError:
            pass  # it went; so does its connection here
        self._poll.unregister(client)
        del self._clients[descriptor]
        client.close()


def begin(name: str, port: int, pid: int, seconds: int, answer: tuple[int, str]) -> None:
    """Put the gate up, and leave it to itself."""
    gate, last = Gate(*answer), time.monotonic() + seconds
    way = redirect.Redirect(name, port, gate.port)

    def serve() -> None:
        while time.monotonic() < last and os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
            way.renew()
            gate.serve(_LOOK)

    redirect.begin(name, way, serve, gate.close)


def main(verb: str, name: str, *rest: str) -> None:
    """Do it."""
    del verb
    port, pid, seconds, status, message = rest
    begin(name, int(port), int(pid), int(seconds), (int(status), message))


if __name__ == "__main__":
    main(*sys.argv[1:])

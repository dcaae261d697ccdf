"""The connections of an HTTP gate: a client's, and the server's that belongs to it. Nothing here ever waits."""

from __future__ import annotations

import select
import socket
import struct
from contextlib import suppress
from typing import Protocol

from envctl.engine.gates import http_messages as http
from envctl.engine.gates.s3_exchanges import Exchange, Streams

_ROOM = 1 << 18
"""Bytes that are kept for a side that does not take them yet."""
_NO_LINGERING = struct.pack("ii", 1, 0)


class Keeper(Protocol):
    """Whoever has the conversations: looks for what happens on their sockets, and says what becomes of requests."""

    port: int
    draining: bool

    def judge(self, head: http.Head, streams: Streams) -> Exchange:
        """What becomes of a request."""
        ...

    def know(self, one: socket.socket, conversation: Conversation) -> None:
        """A socket that belongs to a conversation."""
        ...

    def watch(self, one: socket.socket, mask: int) -> None:
        """What to look for on it."""
        ...

    def wake(self, conversation: Conversation, when: float) -> None:
        """When a conversation has more to do, whatever comes; 0 for never."""
        ...

    def forget(self, one: socket.socket) -> None:
        """It is closed."""
        ...


class Conversation:
    """One client's connection, and the server's that belongs to it, which is made when the server is asked."""

    def __init__(self, gate: Keeper, client: socket.socket) -> None:
        self._gate, self.client = gate, client
        self.server: socket.socket | None = None
        self.streams = Streams()
        self.exchange: Exchange | None = None
        self.tunnels = self.closes = self.closed = False
        self._client_ended = self._server_ended = self._told_end = False
        self._masks: dict[int, int] = {}

    def event(self, descriptor: int) -> None:
        """Something can be read or written there."""
        streams = self.streams
        try:
            self._require_well()
            if descriptor == self.client.fileno():
                self._client_ended = self._read(self.client, streams.from_client) or self._client_ended
            elif self.server:
                self._server_ended = self._read(self.server, streams.from_server) or self._server_ended
            self.go_on()
        except OSError:
            self.close(resets=True)  # as one side does to us, so to the other

    def go_on(self) -> None:
        """Move what can be moved."""
        self._advance()
        if self.server:
            try:
                self._write(self.server, self.streams.to_server)
            except OSError:
                self._salvage(self.server)
        self._write(self.client, self.streams.to_client)
        if self.exchange and self.exchange.resets:
            self.close(resets=True)
        elif self.closes and not self.streams.to_client:
            self.close()
        elif self._client_ended and not self.streams.to_server:
            self._pass_end()
        if not self.closed:
            self._watch()

    def close(self, *, resets: bool = False) -> None:
        """End both connections."""
        self.closed = True
        for one in (self.client, self.server):
            if one:
                self._gate.forget(one)
                with suppress(OSError):
                    if resets:
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
                    one.close()

    def drain(self) -> None:
        """Let it come to its end, if something is under way."""
        if self.tunnels or (self.exchange is None and not self.streams.to_client):
            self.close()
            return
        self.closes = self.exchange is None
        if self.exchange:
            self.exchange.hurry()
        with suppress(OSError):
            self.go_on()

    def _require_well(self) -> None:
        for one in (self.client, self.server):
            if one and (error := one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                raise OSError(error, "broken")

    def _read(self, one: socket.socket, data: bytearray) -> bool:
        """Whether that side has ended."""
        if not self._masks.get(one.fileno(), 0) & select.EPOLLIN:
            return False
        with suppress(BlockingIOError):
            read = one.recv(_ROOM)
            data += read
            return not read
        return False

    def _salvage(self, server: socket.socket) -> None:
        """The server takes no more: what it said before it went is still there to be read."""
        self.streams.to_server.clear()
        with suppress(OSError):
            while read := server.recv(_ROOM):
                self.streams.from_server += read
        self._server_ended = True
        self._advance()

    def _write(self, one: socket.socket, data: bytearray) -> None:
        with suppress(BlockingIOError):
            while data and not self.closed:
                del data[: one.send(data)]

    def _advance(self) -> None:
        streams = self.streams
        while not self.closes and not self.tunnels:
            if self.exchange is None:
                if self._gate.draining or self._server_ended or not self._begin():
                    break
                continue
            self.exchange.advance(streams)
            if not self.exchange.breaks and self._server_ended and not self.exchange.wake:
                self.exchange.cease(streams)
            done = self.exchange.over and self.exchange.last and not self.exchange.asks
            self.closes, self.tunnels = self.exchange.breaks or done, self.exchange.tunnels
            if not self.exchange.over or self.closes:
                break
            self.exchange = None
        idle = self.exchange is None
        if self.tunnels:
            streams.to_server += streams.from_client
            streams.from_client.clear()
        elif idle:
            self.closes = self.closes or self._client_ended or self._server_ended or self._gate.draining
        if self.tunnels or idle:
            # Nobody asked for it: what a server says when it will not wait any longer.
            streams.to_client += streams.from_server
            streams.from_server.clear()
            self.closes = self.closes or self._server_ended

    def _begin(self) -> bool:
        """Whether a request has begun."""
        data = self.streams.from_client
        if not data:
            return False
        if http.foreign(data):
            self.tunnels = True
            self._connect()
            return False
        head = http.head(data)
        if head is None:
            return False
        self.exchange = self._gate.judge(head, self.streams)
        if self.exchange.asks:
            self._connect()
            self.streams.to_server += head.raw
        return True

    def _connect(self) -> None:
        if self.server is None:
            self.server = ready(socket.socket(socket.AF_INET))
            with suppress(BlockingIOError):
                self.server.connect(("127.0.0.1", self._gate.port))
            self._gate.know(self.server, self)

    def _pass_end(self) -> None:
        if self.exchange and not self.exchange.body.over:
            self.close(resets=True)
        elif self.server and not self._told_end:
            self._told_end = True
            with suppress(OSError):
                self.server.shutdown(socket.SHUT_WR)

    def _watch(self) -> None:
        streams = self.streams
        self._gate.wake(self, self.exchange.wake if self.exchange else 0.0)
        room = not self.closes and len(streams.from_client) < _ROOM and len(streams.to_server) < _ROOM
        self._mask(self.client, room and not self._client_ended, bool(streams.to_client))
        if self.server and self._server_ended and not streams.to_server:
            # The kernel would go on telling of its end.
            self._gate.forget(self.server)
            self.server.close()
            self.server = None
        elif self.server:
            room = not self.closes and len(streams.from_server) + len(streams.to_client) < _ROOM
            self._mask(self.server, room and not self._server_ended, bool(streams.to_server))

    def _mask(self, one: socket.socket, reads: bool, writes: bool) -> None:
        mask = select.EPOLLIN * reads | select.EPOLLOUT * writes
        if self._masks.get(one.fileno()) != mask:
            self._masks[one.fileno()] = mask
            self._gate.watch(one, mask)


def ready(one: socket.socket) -> socket.socket:
    """As conversations want it: it never waits."""
    one.settimeout(0)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one

"""Fails some of the S3 requests to one port, and passes the others, in the network namespace in which it runs.

    python3 -c … begin NAME PORT PID SECONDS AIM

`begin` returns when the gate stands: a process that speaks HTTP with the clients and, from loopback, with the server,
and the way to it by the table NAME; `redirect` tells of it and ends it. AIM (JSON) says which requests fail and how:
see `s3_requests` and `s3_exchanges`. Bodies are streamed; what is not HTTP passes. The gate ends by itself after
SECONDS, by SIGTERM, or when the server's process PID does: new connections go to the server again, what is under way
may come to its end within a short time, and the other connections are closed. When it is killed its connections break,
and soon after that the kernel leads nobody to it any more. It prints one line of JSON, and counts the requests that
were `seen`, `fitting` and `failed`.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from envctl.engine.gates import http_messages as http
from envctl.engine.gates import redirect
from envctl.engine.gates import s3_exchanges as exchanges
from envctl.engine.gates import s3_requests as s3
from envctl.engine.gates.s3_conversations import Conversation, ready

if TYPE_CHECKING:
    import socket

_LOOK, _DRAINED = 0.2, 2.0


class Gate:
    """All conversations, and the choice of the requests that fail."""

    def __init__(self, name: str, port: int, aim: dict[str, Any]) -> None:
        self.name, self.port, self.draining = name, port, False
        self.choice = s3.Choice(aim)
        self.listener = redirect.listen()
        self.listener.settimeout(0)
        self._epoll = select.epoll()
        self._epoll.register(self.listener, select.EPOLLIN)
        self._by_descriptor: dict[int, Conversation] = {}
        self._wakes: dict[Conversation, float] = {}

    def turn(self, seconds: float) -> None:
        """Do what there is to do, or comes within that time."""
        now = time.monotonic()
        wait = max(0.0, min([seconds, *(when - now for when in self._wakes.values())]))
        for descriptor, _ in redirect.polled(self._epoll.poll, wait):
            if descriptor == self.listener.fileno():
                self._accept()
            elif descriptor in self._by_descriptor:
                self._by_descriptor[descriptor].event(descriptor)
        now = time.monotonic()
        for one in [one for one, when in self._wakes.items() if when <= now]:
            one.event(-1)

    def judge(self, head: http.Head, streams: exchanges.Streams) -> exchanges.Exchange:
        """What becomes of a request."""
        request, aim = s3.Request(head, self.choice.aim["domains"]), self.choice.aim
        asked = head.fields.get(s3.MARK, "")
        if asked == self.name:
            streams.from_server += exchanges.sample(aim)
            probe = exchanges.failing(request, aim, f"{self.name}-probe")
            probe.asks = False
            return probe
        if self.choice.fails(request):
            return exchanges.failing(request, aim, f"{self.name}-{self.choice.failed}")
        return exchanges.Exchange(request, aim, "")

    def know(self, one: socket.socket, conversation: Conversation) -> None:
        """A connection that belongs to a conversation."""
        self._by_descriptor[one.fileno()] = conversation
        self._epoll.register(one, 0)

    def watch(self, one: socket.socket, mask: int) -> None:
        """What to look for on it."""
        self._epoll.modify(one, mask)

    def wake(self, conversation: Conversation, when: float) -> None:
        """When a conversation has more to do, whatever comes; 0 for never."""
        if when:
            self._wakes[conversation] = when
        else:
            self._wakes.pop(conversation, None)

    def forget(self, one: socket.socket) -> None:
        """It is closed."""
        if conversation := self._by_descriptor.pop(one.fileno(), None):
            self._wakes.pop(conversation, None)
        with suppress(OSError, ValueError):
            self._epoll.unregister(one)

    def close(self) -> dict[str, int]:
        """Let what is under way come to its end, for a short time, and close the rest; what was counted."""
        self.draining = True
        self._epoll.unregister(self.listener)
        self.listener.close()
        last = time.monotonic() + _DRAINED
        for one in set(self._by_descriptor.values()):
            one.drain()
        while self._by_descriptor and time.monotonic() < last:
            self.turn(_LOOK)
        for one in set(self._by_descriptor.values()):
            one.close()
        return self.choice.counts()

    def abandon(self) -> None:
        """End all connections: their server is dead."""
        for one in set(self._by_descriptor.values()):
            one.close(resets=True)

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            while True:
                client = ready(self.listener.accept()[0])
                one = Conversation(self, client)
                self.know(client, one)
                one.go_on()


def begin(name: str, port: int, pid: int, seconds: float, aim: dict[str, Any]) -> None:
    """Put the gate up, and leave it to itself."""
    now = time.time()
    aim["since"] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z"
    gate, last = Gate(name, port, aim), time.monotonic() + seconds
    way = redirect.Redirect(name, port, gate.listener.getsockname()[1])

    def serve() -> None:
        while time.monotonic() < last:
            if not os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
                gate.abandon()
                return
            way.renew(**gate.choice.counts())
            gate.turn(_LOOK)

    redirect.begin(name, way, serve, gate.close)


def main(verb: str, name: str, *rest: str) -> None:
    """Do it."""
    del verb
    port, pid, seconds, aim = rest
    begin(name, int(port), int(pid), float(seconds), json.loads(aim))


if __name__ == "__main__":
    main(*sys.argv[1:])

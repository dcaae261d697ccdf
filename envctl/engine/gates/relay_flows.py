"""What goes through the relay: a loop that waits for sockets and times, and connections of two flows each."""

from __future__ import annotations

import heapq
import select
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 1 << 18
_ROOM, _LATER, _ALL = 1 << 18, 1 << 22, 1 << 27
"""Bytes of one flow that wait here at most, and where they wait for their time; and, about, of all flows of a gate."""
_BEHIND = 0.0001
"""Seconds by which one that had a share of a rate goes behind those that wait for theirs."""
_RESET = struct.pack("ii", 1, 0)


class Loop:
    """Calls what asked to be called, in one thread."""

    def __init__(self) -> None:
        self._epoll, self._calls, self._masks = select.epoll(), dict[int, Any](), dict[int, int]()
        self._times, self._count = list[Any](), 0

    def watch(self, end: socket.socket, mask: int, call: Callable[[int], None]) -> None:
        """Call with what happened, from now on; with an empty mask never."""
        number, before = end.fileno(), self._masks.get(end.fileno(), 0)
        if mask and not before:
            self._epoll.register(number, mask)
        elif mask and mask != before:
            self._epoll.modify(number, mask)
        elif before and not mask:
            self._epoll.unregister(number)
        self._masks[number], self._calls[number] = mask, call

    def forget(self, end: socket.socket) -> None:
        """Before it is closed."""
        self.watch(end, 0, lambda _: None)
        del self._masks[end.fileno()], self._calls[end.fileno()]

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Call once, at a monotonic time."""
        self._count += 1
        heapq.heappush(self._times, (when, self._count, call))

    def turn(self) -> None:
        """Wait for something, and have all that is due called."""
        left = max(0.0, self._times[0][0] - time.monotonic()) if self._times else -1
        for number, happened in self._epoll.poll(left):
            if self._masks.get(number):  # an earlier call of this turn may have closed it
                self._calls[number](happened)
        now = time.monotonic()
        while self._times and self._times[0][0] <= now:
            heapq.heappop(self._times)[2]()


class Flow:
    """What goes one way of a connection."""

    def __init__(self, connection: Connection, way: str, source: socket.socket, sink: socket.socket) -> None:
        self._connection, self._way, self._source, self._sink = connection, way, source, sink
        self._pieces, self._size, self._latest, self._wakes = deque[tuple[float, Any]](), 0, 0.0, 0.0
        self.blocked = self.ended = self.over = False

    @property
    def wants(self) -> bool:
        """Whether there is room for more."""
        orders = self._connection.gate.orders
        rooms = [order.waiting for order in orders if self._way in order.buckets]
        later = any(self._way in order.jitters for order in orders)
        share = max(_ROOM, min(_LATER, _ALL // (2 * len(self._connection.gate.connections) or 1)))
        return not self.ended and self._size < min([share if later else _ROOM, *rooms])

    def take(self) -> None:
        """Take what is there, and pass on what may pass."""
        try:
            data = self._source.recv(_PIECE)
        except BlockingIOError:
            return
        now = time.monotonic()
        delays = (
            order.jitters[self._way].draw() for order in self._connection.gate.orders if self._way in order.jitters
        )
        self._latest = max(self._latest, now + sum(delays))
        self._pieces.append((self._latest, memoryview(data) if data else None))
        self._size, self.ended = self._size + len(data), not data
        self.pass_on()

    def hurry(self) -> None:
        """Nothing has to wait for a time that was given to it."""
        self._pieces = deque((0.0, data) for _, data in self._pieces)
        self._latest = 0.0

    def pass_on(self) -> None:
        """Pass on what may pass now."""
        self.blocked, behind = False, 0.0
        while self._pieces and not self._connection.stopped:
            due, data = self._pieces[0]
            now = time.monotonic()
            if due > now:
                return self._wake(due)
            if data is None:
                self._pieces.popleft()
                self.over = True
                return self._sink.shutdown(socket.SHUT_WR)
            buckets = [order.buckets[self._way] for order in self._connection.gate.orders if self._way in order.buckets]
            answers = [bucket.allows(len(data), now) for bucket in buckets]
            if wait := max((answer[1] for answer in answers), default=0):
                return self._wake(now + wait + behind)
            try:
                sent = self._sink.send(data[: min((answer[0] for answer in answers), default=len(data))])
            except BlockingIOError:
                self.blocked = True
                return None
            for bucket in buckets:
                bucket.take(sent)
                behind = _BEHIND
            self._size -= sent
            if sent == len(data):
                self._pieces.popleft()
            else:
                self._pieces[0] = (due, data[sent:])
        return None

    def _wake(self, when: float) -> None:
        if not self._wakes or when < self._wakes:
            self._wakes = when
            self._connection.loop.at(when, self._woken)

    def _woken(self) -> None:
        self._wakes = 0.0
        self._connection.move(self.pass_on)


class Connection:
    """One that was accepted at a gate (see `relay`), and the one to the service that belongs to it."""

    def __init__(self, loop: Loop, gate: Any, number: int, client: socket.socket) -> None:  # noqa: ANN401
        self.loop, self.gate, self.number, self._client = loop, gate, number, client
        self._server: socket.socket | None = None
        self._flows, self._asked, self._open = list[Flow](), False, True
        self.stopped = False
        client.settimeout(0)
        self.look()

    def look(self, *, hurry: bool = False) -> None:
        """See anew what is in force."""
        self.stopped = any(order.swallow(self.number) for order in self.gate.orders)
        if not self.stopped and not self._asked:
            self._asked = True
            self.gate.resolve(self.connect)
        for flow in self._flows:
            if hurry:
                flow.hurry()
            self.move(flow.pass_on)

    def connect(self, address: Any) -> None:  # noqa: ANN401
        """Connect to the service; reset where it has no address."""
        if not self._open:
            return
        if address is None:
            self.cut()
            return
        try:
            self._server = socket.socket(address[0], socket.SOCK_STREAM)
        except OSError:  # no room for another one
            self.cut()
            return
        self._server.settimeout(0)
        self._server.connect_ex(address[1])
        self.loop.watch(self._server, select.EPOLLOUT, self._connected)

    def _connected(self, happened: int) -> None:
        del happened
        assert self._server is not None  # noqa: S101
        if self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return self.cut()
        for end in (self._client, self._server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._flows = [Flow(self, "in", self._client, self._server), Flow(self, "out", self._server, self._client)]
        return self.move(lambda: None)

    def move(self, act: Callable[[], object]) -> None:
        """Do something to its flows, and wait for what may come next; cut where that fails."""
        if not self._open:
            return
        try:
            act()
        except OSError:
            self.cut()
            return
        if self._flows and all(flow.over for flow in self._flows):
            self._close()
        elif self._flows:
            self._watch()

    def _watch(self) -> None:
        assert self._server is not None  # noqa: S101
        inward, outward = self._flows
        for end, reads, writes in ((self._client, inward, outward), (self._server, outward, inward)):
            mask = (select.EPOLLIN if reads.wants else 0) | (select.EPOLLOUT if writes.blocked else 0)
            self.loop.watch(end, 0 if self.stopped else mask, self._happened(reads, writes))

    def _happened(self, reads: Flow, writes: Flow) -> Callable[[int], None]:
        def call(happened: int) -> None:
            if happened & select.EPOLLOUT:
                self.move(writes.pass_on)
            if happened & ~select.EPOLLOUT and self._open:
                self.move(reads.take if reads.wants else writes.pass_on)

        return call

    def cut(self) -> None:
        """Reset both ends."""
        for end in filter(None, (self._client, self._server)):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._close()

    def _close(self) -> None:
        if self._open:
            self._open = False
            self.gate.connections.discard(self)
            for end in filter(None, (self._client, self._server)):
                with suppress(KeyError):
                    self.loop.forget(end)
                end.close()

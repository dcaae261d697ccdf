"""The relay: takes the connections to an environment's published ports, passes them on to the services, and does to
them what it is ordered to (see `relay_effects`). It needs no right, and forgets each order when its time is over.

Its argument is JSON, a list of gates: `service`, `port` (where it is reached by its name), `listen`. Orders come as
lines of JSON over an abstract Unix socket, whose name is the second argument, and are answered by one line each:

- `begin` (`order`, with what was measured `before`): put it in force; as `state`. One that is already is left as it is,
  and what was measured before it is told.
- `end` (`token`): whether it had `begun`, when this was first asked for, and had `lasted` until then.
- `state` (`token`): whether it is in `force`, its `connections`, and of a throttle what went through its `shapers`.
- `probe` (`service`, `ports`, `to`): a gate under the same orders, to a port of this machine; its `port`. It is there
  as long as whoever asked for it stays connected.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from envctl.engine.gates.relay_effects import Order
from envctl.engine.gates.relay_flows import Connection, Loop

if TYPE_CHECKING:
    from collections.abc import Callable

_AGAIN = 0.1
"""Seconds until what the system refuses is tried again."""


class Gate:
    """One port at which connections are taken."""

    def __init__(self, relay: Relay, service: str, port: int, listen: tuple[str, int], to: tuple[str, int]) -> None:
        self.relay, self.service, self.port, self._listen, self._to = relay, service, port, listen, to
        self.connections, self.orders = set[Connection](), list[Order]()
        self._listener: socket.socket | None = None
        self._open = True
        # Where it is refused at once, too, it has a port.
        self._be_open(wanted=True)

    def look(self, *, hurry: bool = False) -> None:
        """See anew what is in force, and act by it."""
        if not self._open:
            return
        self.orders = [order for order in self.relay.orders.values() if order.covers(self.service, self.port)]
        self._be_open(wanted=not any(order.refuses for order in self.orders))
        for connection in list(self.connections):
            connection.look(hurry=hurry)

    def resolve(self, call: Callable[[Any], None]) -> None:
        """Call with the service's family and address as they are now, or with None; names may take their time."""

        def ask() -> None:
            try:
                found = socket.getaddrinfo(*self._to, type=socket.SOCK_STREAM)[0]
                self.relay.later(lambda: call((found[0], found[4])))
            except OSError:
                self.relay.later(lambda: call(None))

        try:
            threading.Thread(target=ask, daemon=True).start()
        except RuntimeError:  # no room for another one
            self.relay.later(lambda: call(None))

    def close(self) -> None:
        """Take no more."""
        self._be_open(wanted=False)
        self._open = False
        for connection in list(self.connections):
            connection.cut()

    @property
    def listens_at(self) -> int:
        """Its port."""
        return self._listener.getsockname()[1] if self._listener else self._listen[1]

    def _be_open(self, *, wanted: bool) -> None:
        if wanted and not self._listener:
            try:
                self._listener = socket.create_server(self._listen, backlog=1024)
            except OSError:
                return self.relay.loop.at(time.monotonic() + _AGAIN, self.look)
            self._listen = self._listener.getsockname()[:2]
            self._listener.settimeout(0)
            self.relay.loop.watch(self._listener, select.EPOLLIN, self._accept)
        elif self._listener and not wanted:
            self.relay.loop.forget(self._listener)
            self._listener.close()
            self._listener = None
        return None

    def _accept(self, happened: int) -> None:
        del happened
        assert self._listener is not None  # noqa: S101
        try:
            client = self._listener.accept()[0]
        except BlockingIOError:
            return
        except OSError:  # no room for another one: what waits in the queue waits on
            self.relay.loop.watch(self._listener, 0, self._accept)
            self.relay.loop.at(time.monotonic() + _AGAIN, self._take_again)
            return
        self.relay.count += 1
        self.connections.add(Connection(self.relay.loop, self, self.relay.count, client))

    def _take_again(self) -> None:
        if self._listener:
            self.relay.loop.watch(self._listener, select.EPOLLIN, self._accept)


class Relay:
    """All gates, and the orders that are in force."""

    def __init__(self, gates: list[dict[str, Any]], name: str) -> None:
        self.loop, self.orders, self.count = Loop(), dict[str, Order](), 0
        self._known, self._calls = dict[str, Any](), deque[Any]()
        self._bell, self._ring = socket.socketpair()
        self.gates = [
            Gate(self, one["service"], one["port"], ("", one["listen"]), (one["service"], one["port"])) for one in gates
        ]
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._control.bind(f"\0{name}")
        self._control.listen(16)

    def run(self) -> None:
        """For ever."""
        self.loop.watch(self._bell, select.EPOLLIN, self._called)
        self.loop.watch(self._control, select.EPOLLIN, self._heard)
        while True:
            self.loop.turn()

    def later(self, call: Callable[[], None]) -> None:
        """Have it called by the loop; for other threads."""
        self._calls.append(call)
        self._ring.send(b"!")

    def begin(self, order: dict[str, Any]) -> dict[str, Any]:
        """Put an order in force."""
        token = order["token"]
        if token in self._known:
            return {**self.state(token), "before": self._known[token]}
        made = Order(order, self.count)
        self._known[token] = order["before"]
        self.orders[token] = made
        found = self._meant(made)
        if made.cuts:
            for connection in found:
                connection.cut()
        self._look(made)
        self.loop.at(made.until, lambda: self._end(made))
        return {**self.state(token), "connections": len(found)}

    def end(self, token: str) -> dict[str, Any]:
        """End an order."""
        begun, order = token in self._known, self.orders.get(token)
        self._known.pop(token, None)
        if order:
            self._end(order)
        return {"begun": begun, "lasted": order is not None}

    def state(self, token: str) -> dict[str, Any]:
        """What of an order is there."""
        order = self.orders.get(token)
        told = {"force": order is not None, "connections": len(self._meant(order)) if order else 0}
        passed = {way: {"bytes": bucket.passed} for way, bucket in order.buckets.items()} if order else {}
        return {**told, "shapers": {"at": time.monotonic(), **passed}} if passed else told

    def _meant(self, order: Order) -> list[Connection]:
        gates = [gate for gate in self.gates if order.covers(gate.service, gate.port)]
        return [connection for gate in gates for connection in gate.connections]

    def _end(self, order: Order) -> None:
        if self.orders.get(order.token) is order:
            del self.orders[order.token]
            self._look(order, hurry=True)

    def _look(self, order: Order, *, hurry: bool = False) -> None:
        for gate in list(self.gates):
            if order.covers(gate.service, gate.port):
                gate.look(hurry=hurry)

    def _heard(self, happened: int) -> None:
        del happened
        Control(self, self._control.accept()[0])

    def _called(self, happened: int) -> None:
        del happened
        self._bell.recv(4096)
        while self._calls:
            self._calls.popleft()()


class Control:
    """One who gives orders."""

    def __init__(self, relay: Relay, end: socket.socket) -> None:
        self._relay, self._end, self._said, self._probes = relay, end, b"", list[Gate]()
        relay.loop.watch(end, select.EPOLLIN, self._happened)

    def _happened(self, happened: int) -> None:
        del happened
        try:
            data = self._end.recv(65536)
            *lines, self._said = (self._said + data).split(b"\n")
            for line in lines:
                self._end.sendall(json.dumps(self._answer(**json.loads(line))).encode() + b"\n")
        except (OSError, ValueError, KeyError, TypeError, StopIteration):
            data = b""
        if not data:
            for gate in self._probes:
                self._relay.gates.remove(gate)
                gate.close()
            self._relay.loop.forget(self._end)
            self._end.close()

    def _answer(self, act: str, **told: Any) -> dict[str, Any]:  # noqa: ANN401
        if act == "probe":
            return {"port": self._probe(**told)}
        acts: dict[str, Callable[..., dict[str, Any]]] = {
            "begin": self._relay.begin,
            "end": self._relay.end,
            "state": self._relay.state,
        }
        return acts[act](**told)

    def _probe(self, service: str, ports: list[int], to: int) -> int:
        port = next(g.port for g in self._relay.gates if g.service == service and (not ports or g.port in ports))
        gate = Gate(self._relay, service, port, ("127.0.0.1", 0), ("127.0.0.1", to))
        self._probes.append(gate)
        self._relay.gates.append(gate)
        gate.look()
        return gate.listens_at


def main() -> None:
    """The relay's main process."""
    Relay(json.loads(sys.argv[1]), *sys.argv[2:]).run()


if __name__ == "__main__":
    main()

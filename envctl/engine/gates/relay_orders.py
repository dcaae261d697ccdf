"""Gives the relay one order, and measures what becomes of bytes: through a gate of its own, which is under the same
orders, to this program itself, so that both ends are on one clock.

Its argument is JSON: `act` (`begin`, `measure`, `end`), `order` (see `relay_effects`), and `probes`, each of a `kind`:

- `times`: `count` pieces, one `every` so many seconds, and `wait` seconds for the last, on one `way` (`in`, `out`);
- `rate`: `bytes` as fast as can be, the first `skip` of which do not count, within `wait` seconds, on one `way`; where
  not all came, because others had their part of the rate, the relay's own count is taken;
- `connection`: `wait` seconds for a new one; the first one that came about is kept, and looked at afterwards.

The second is the name of the relay's socket.

It prints what was measured `before` and `after`, as `operations.probing` and `operations.knocking` do, and what the
relay said.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Any

_PIECE = struct.Struct(">d")
_MOMENT = 0.05
_FEW = 2
_LOST = {"problem": "no connection came about"}


class Orderer:
    """One conversation with the relay."""

    def __init__(self, order: dict[str, Any], name: str) -> None:
        self._order, self._said = order, b""
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._control.connect(f"\0{name}")
        self._far = socket.create_server(("127.0.0.1", 0))
        told = {"service": order["service"], "ports": order["ports"], "to": self._far.getsockname()[1]}
        self._gate = ("127.0.0.1", self.ask("probe", **told)["port"])
        self._kept: socket.socket | None = None
        self._held = list[socket.socket]()

    def ask(self, act: str, **told: Any) -> dict[str, Any]:  # noqa: ANN401
        """The relay's answer."""
        self._control.sendall(json.dumps({"act": act, **told}).encode() + b"\n")
        while b"\n" not in self._said:
            data = self._control.recv(65536)
            if not data:
                raise SystemExit("the relay did not understand it: `envctl up` makes that of this version")
            self._said += data
        line, _, self._said = self._said.partition(b"\n")
        return dict(json.loads(line))

    def measure(self, probes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Each as its kind is measured."""
        kinds = {"times": self._times, "rate": self._rate, "connection": self._connection}
        return [kinds[probe["kind"]](probe) for probe in probes]

    def _pair(self, wait: float) -> tuple[socket.socket, socket.socket] | None:
        """Both ends of a connection through the gate, over which something has gone."""
        near = socket.create_connection(self._gate, wait)
        self._held.append(near)
        near.sendall(b"?")
        if not select.select([self._far, near], [], [], wait)[0]:
            return None
        near.settimeout(0)
        with suppress(BlockingIOError):
            near.recv(1)
            raise ConnectionResetError
        far = self._far.accept()[0]
        self._held.append(far)
        far.settimeout(wait)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return (near, far) if far.recv(1) else None
        except TimeoutError:
            return None

    def _ways(self, probe: dict[str, Any]) -> tuple[socket.socket, socket.socket] | None:
        try:
            pair = self._pair(probe["wait"])
        except OSError:
            return None
        return pair if pair is None or probe["way"] == "in" else (pair[1], pair[0])

    def _times(self, probe: dict[str, Any]) -> dict[str, Any]:
        if not (pair := self._ways(probe)):
            return {**_LOST, "sent": probe["count"], "received": 0}
        source, sink = pair
        begin, sent, late, rest = time.monotonic(), 0, list[float](), b""
        end = begin + probe["count"] * probe["every"] + probe["wait"]
        while len(late) < probe["count"] and (now := time.monotonic()) < end:
            if sent < probe["count"] and now >= begin + sent * probe["every"]:
                source.send(_PIECE.pack(now))
                sent += 1
            due = begin + sent * probe["every"] if sent < probe["count"] else end
            if select.select([sink], [], [], max(0.0, due - time.monotonic()))[0]:
                rest, at = rest + sink.recv(65536), time.monotonic()
                whole = len(rest) // _PIECE.size * _PIECE.size
                late += [(at - piece[0]) * 1000 for piece in _PIECE.iter_unpack(rest[:whole])]
                rest = rest[whole:]
        told: dict[str, Any] = {"sent": sent, "received": len(late)}
        late.sort()
        return {**told, "ms": [round(late[place], 2) for place in (0, len(late) // 2, -1)]} if late else told

    def _rate(self, probe: dict[str, Any]) -> dict[str, Any]:
        if not (pair := self._ways(probe)):
            return {**_LOST, "sent": 0, "received": 0}
        source, sink = pair
        source.settimeout(0)
        total, sent, came, marks = probe["skip"] + probe["bytes"], 0, 0, [(time.monotonic(), 0)]
        end, data = time.monotonic() + probe["wait"], memoryview(bytes(1 << 16))
        earlier: tuple[float, int] | None = None
        while came < total and (left := end - time.monotonic()) > 0:
            ready = select.select([sink], [source] if sent < total else [], [], left)
            if ready[1]:
                sent += source.send(data[: total - sent])
            if ready[0]:
                came += len(sink.recv(1 << 18))
                if came > probe["skip"]:
                    marks.append((time.monotonic(), came))
                    earlier = earlier or self._passed(probe["way"])
        told: dict[str, Any] = {"sent": sent, "received": came}
        if came == total:
            # What comes at once counts from the beginning.
            (since, first), (until, last) = marks[1 if len(marks) > _FEW else 0], marks[-1]
            told["rate"] = round(8 * (last - first) / max(until - since, 1e-9))
        elif earlier and (later := self._passed(probe["way"])):
            # Others have their part of it: what went through in all, while more was waiting, is the rate.
            told["rate"] = round(8 * (later[1] - earlier[1]) / max(later[0] - earlier[0], 1e-9))
        return told

    def _passed(self, way: str) -> tuple[float, int] | None:
        """When, and how many bytes went that way by the order until then; None where it limits none."""
        found = self.ask("state", token=self._order["token"]).get("shapers", {})
        return (found["at"], found[way]["bytes"]) if way in found else None

    def _connection(self, probe: dict[str, Any]) -> dict[str, Any]:
        told = {"live": _state(self._kept)} if self._kept else {}
        try:
            pair = self._pair(probe["wait"])
        except TimeoutError:
            pair = None
        except OSError:
            return {**told, "new": "refused"}
        if pair and not self._kept:
            self._kept = pair[0]
        return {**told, "new": "connected" if pair else "nothing"}


def _state(live: socket.socket) -> str:
    """A moment is left for a reset to come."""
    select.select([live], [], [], _MOMENT)
    try:
        return "open" if live.recv(1, socket.MSG_PEEK) else "closed"
    except BlockingIOError:
        return "open"
    except OSError:
        return "reset"


def main() -> None:
    """One act."""
    told = json.loads(sys.argv[1])
    orderer, act = Orderer(told["order"], *sys.argv[2:]), told["act"]
    before, token = orderer.measure(told["probes"]) if act == "begin" else [], told["order"]["token"]
    given = {
        "begin": {"order": {**told["order"], "before": before}},
        "end": {"token": token},
        "state": {"token": token},
    }
    said = orderer.ask("state" if act == "measure" else act, **given["state" if act == "measure" else act])
    before = said.pop("before", before)
    sys.stdout.write(json.dumps({"before": before, "after": orderer.measure(told["probes"]), "said": said}))


if __name__ == "__main__":
    main()

"""Have the end of a connection come late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.fault import JSON, parameter
from envctl.faults.network.tcp import ConnectionFault
from envctl.faults.network.wire import DIRECTIONS, label
from envctl.faults.values import duration
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.engine.addresses import Addresses
    from envctl.protocols import Service
    from envctl.site import Site

_LONGEST = 60.0
_LOOK = 0.1
"""Seconds for which the end must not come; waiting for all of the delay would take as long."""


@dataclass(frozen=True)
class SlowClose(ConnectionFault):
    """Hold back the packet that ends a connection, with the data in it; what comes before it is not touched.

    A client that waits for the end of a stream waits `delay` longer, pools keep connections that are over, ports stay
    in use. By default what the service says last is held back; `--direction in`: what its clients say last.
    """

    name: ClassVar[str] = "slow-close"
    summary: ClassVar[str] = "Have the end of its connections come late."
    backends: ClassVar[Mapping[str, str]] = {"nfqueue": "a program in the service's network holds such packets back"}

    delay: float = parameter(2.0, "How much later.", kind=duration, metavar="TIME")
    direction: str = parameter("out", "Whose last word.", choices=DIRECTIONS)

    def problems(self, service: Service) -> Iterable[str]:
        """No time at all, or too much; without a peer it is about everybody's connections, either way."""
        yield from (one for one in super().problems(service) if not one.startswith("--direction out"))
        if not 0 < self.delay <= _LONGEST:
            yield f"--delay: wanted more than 0 and at most {_LONGEST:g}s, found {self.delay:g} s"

    def how(self, backend: str, site: Site) -> JSON:
        """What carries FIN."""
        del backend, site
        return {"packets": {"delay": round(self.delay * 1e6)}, "protocol": "tcp", "match": "--tcp-flags FIN FIN"}

    def probes(self, site: Site, wire: JSON, own: Addresses, other: Addresses) -> dict[str, JSON]:
        """A connection of its own that is closed, seen from the other side for a moment."""
        del site
        port, wait = wire["ports"][0] if wire["ports"] else None, min(self.delay, _LOOK)
        ends = {"kind": "closing", "from": other.pid, "to": own.pid, "port": port, "wait": wait}
        sides, there = {"in": "from", "out": "to"}, other.reached_from(own)
        return {
            label(f"end {way}", family): {**ends, "own": there[family], "address": address, "side": sides[way]}
            for family, address in own.reached_from(other).items()
            for way in wire["directions"]
        }

    def judge(self, what: str, before: JSON, after: JSON) -> None:
        """What was closed is not seen to be closed."""
        if before["new"] == "closed" and after.get("new") != "nothing":
            raise NotReady(f"{what}: it came after {after['ms']:g} ms")

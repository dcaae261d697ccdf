"""Leave a service little bandwidth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.fault import JSON, parameter
from envctl.faults.network.wire import DIRECTIONS, NetworkFault, label
from envctl.faults.values import rate, size
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.engine.addresses import Addresses
    from envctl.protocols import Service
    from envctl.site import Site

_FRAME = 1600
"""Bytes that must pass at once, or the largest packets never do."""
_BURSTS = (4096, 10_000_000)
"""Bytes that pass at once where nobody says how many, the least and the most."""
_BURST = 0.02
"""Seconds of the rate that pass at once: the kernel, on a busy machine, looks that late."""
_QUEUE = 0.4
"""Seconds of the rate that wait; what comes then is dropped, as by a bottleneck on the way. At least `_WAITING`."""
_WAITING = 16_384
_SPAN, _PACKETS, _FLOOD = 0.08, 12, 12_000_000
"""How the rate is measured: for so many seconds or so many packets, by so many bytes at most."""
_LONG = 0.5
"""For so many seconds through the relay."""
_HEADERS = {"tc": 42, "nfqueue": 28}
"""Bytes of a datagram that the back end counts besides its own: IP and UDP, and Ethernet's."""
_LEAST, _LONGER = 16, 20
"""Bytes of the smallest of them; and by how much those of IPv6 are shorter, whose headers are longer."""
_FULL = {"tc": 1514 / 1448, "nfqueue": 1500 / 1448, "proxy": 1}
"""What the back end counts of a connection's full packet, to its own bytes in it."""
_SLACK = 0.1


@dataclass(frozen=True)
class Throttle(NetworkFault):
    """Let no more than `rate` bits through each second, in each direction; the rest waits, and what would wait longer
    than 0.4 s is dropped, as by a slow line. Nothing fails by itself; clients' time limits may.

    The rate is that of a TCP connection's own bytes, in full packets of 1500; small ones get less, for their headers.
    All that is meant by `--peer` and `--port` shares the rate, in each network that the service is in.

    Verified by datagrams of its own, which must come at that rate, within 10 %.
    """

    name: ClassVar[str] = "throttle"
    summary: ClassVar[str] = "Leave it little bandwidth, each way."
    backends: ClassVar[Mapping[str, str]] = {
        "tc": "the kernel's own shapers",
        "nfqueue": "a program in the service's network holds packets back",
        "proxy": "the environment's relay (`up --relay`), for what comes by published ports",
    }

    rate: int = parameter(1_000_000, "How much passes: bits (1mbit) or bytes (100KB) a second.", kind=rate)
    burst: int = parameter(
        0, "How much passes at once after a pause; without it 20 ms of the rate, at least 4 kB.", kind=size
    )
    direction: str = parameter("both", "Which way; each has the rate.", choices=DIRECTIONS)

    def problems(self, service: Service) -> Iterable[str]:
        """A burst in which no packet has room, or that is never over."""
        yield from super().problems(service)
        if self.burst and not _FRAME <= self.burst <= _BURSTS[1]:
            yield f"--burst: wanted {_FRAME}B to {_BURSTS[1] // 10**6}MB, found {self.burst}"

    def claims(self, site: Site) -> Sequence[str]:
        """Each way has one rate; and, as for its neighbours, one shaper."""
        return [*super().claims(site), *(f"the rate of what goes {way}" for way in self.ways)]

    def how(self, backend: str, site: Site) -> JSON:
        """A token bucket, with a queue before it."""
        if backend == "tc":
            limit = self._at_once + self._waiting
            words = [
                "rate",
                f"{round(self.rate * _FULL[backend])}bit",
                "burst",
                f"{self._at_once}b",
                "limit",
                f"{limit}b",
            ]
            return {"leaf": ["tbf", *words]}
        del site
        if backend == "proxy":
            bucket = {"rate": self._bytes, "burst": self._at_once, "waiting": self._waiting}
            return {"throttle": {"ways": self.ways, **bucket}}
        return {
            "packets": {
                "rate": round(self._bytes * _FULL[backend]),
                "burst": self._at_once,
                "limit": max(20, self._waiting // _FRAME),
            }
        }

    def probes(self, site: Site, wire: JSON, own: Addresses, other: Addresses) -> dict[str, JSON]:
        """A flood in each direction: more than passes at once, and what passes in a moment then. Where there is IPv6,
        every other datagram goes by it: they share the rate.
        """
        found, backend = super().probes(site, wire, own, other), "tc" if "leaf" in wire["how"] else "nfqueue"
        floods = {}
        for way in wire["directions"]:
            first, *others = (found[name] for name in (way, label(way, "v6")) if name in found)
            floods[way] = {**first, **self._flood(backend, _LEAST + _LONGER * len(others))}
            floods[way] |= {"also": others[0]["address"]} if others else {}
        return floods

    def probes_by_relay(self) -> dict[str, JSON]:
        """A flood in each direction, long enough that a late turn of the relay does not show."""
        flood = min(_FLOOD, max(_PACKETS, round(self._bytes * _LONG)))
        wait = (2 * self._at_once + self._waiting + flood) / self._bytes + 1
        how = {"kind": "rate", "skip": self._at_once, "bytes": flood, "wait": wait}
        return {way: {"way": way, **how} for way in self.ways}

    def judge(self, what: str, before: JSON, after: JSON) -> None:
        """They came at the rate that was asked for, and had come faster before."""
        measured, earlier = after.get("rate", 0), before.get("rate", 0)
        if not measured:
            raise NotReady(f"{what}: only {after['received']} of {after['sent']} packets came")
        if measured < self.rate * (1 - _SLACK) and earlier < self.rate:
            raise NotReady(f"{what}: {earlier / 1e6:.4g} Mbit/s are all that could be measured without it")
        if abs(measured / self.rate - 1) > _SLACK:
            raise NotReady(f"{what}: {measured / 1e6:.4g} Mbit/s pass; {earlier / 1e6:.4g} did before")

    def bites(self, site: Site, plan: JSON) -> JSON:
        """As of its neighbours. Where others keep the way so full that a flood finds no room, what the shapers let
        through from one look to the next counts as well.
        """
        measured = site.kept.pop("measured", None)
        if measured is None:
            measured = {**self._operate(site, "measure", plan), "before": site.kept["before"]}
        site.kept["measured"], earlier = measured, site.kept.get("shapers")
        site.kept["shapers"] = measured["said"].get("shapers")
        try:
            return super().bites(site, plan)
        except NotReady:
            passed = _passed(earlier, site.kept["shapers"], _FULL[plan["backend"]])
            if not passed or any(abs(found / self.rate - 1) > _SLACK for found in passed.values()):
                raise
            return {"backend": plan["backend"], "measured": passed}

    @property
    def _bytes(self) -> int:
        return self.rate // 8

    @property
    def _at_once(self) -> int:
        return self.burst or min(_BURSTS[1], max(_BURSTS[0], round(self._bytes * _BURST)))

    @property
    def _waiting(self) -> int:
        return max(_WAITING, round(self._bytes * _QUEUE))

    def _flood(self, backend: str, least: int) -> JSON:
        """Large packets, or at low rates small ones, so that it takes no longer than it must."""
        headers = _HEADERS[backend]
        wanted = min(_FLOOD, round(self._bytes * _SPAN))
        length = min(1200, max(least, wanted // _PACKETS - headers))
        count = (self._at_once // (length + headers)) + max(_PACKETS, wanted // (length + headers)) + 1
        # Where others have used up the burst, it has to be waited for; and for what waits before it.
        wait = (self._at_once + self._waiting + wanted) / self._bytes + 0.1
        flood = {"skip": self._at_once, "overhead": headers, "per_byte": _FULL[backend], "wait": wait}
        return {"count": count, "size": length, "flood": flood}


def _passed(earlier: JSON | None, later: JSON | None, full: float) -> dict[str, int]:
    """Bits a second in each direction, by full packets; none where nobody looked twice."""
    if not earlier or not later:
        return {}
    took = later["at"] - earlier["at"]
    return {way: round(8 * (later[way]["bytes"] - earlier[way]["bytes"]) / took / full) for way in later if way != "at"}

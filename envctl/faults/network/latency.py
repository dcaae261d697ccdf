"""Have packets come later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.fault import JSON, parameter
from envctl.faults.network.netem import leaf
from envctl.faults.network.wire import DIRECTIONS, NetworkFault
from envctl.faults.values import duration, percent
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.protocols import Service
    from envctl.site import Site

_LONGEST = 10.0
_SEEN = 0.001
"""Seconds of delay that stand out from a way that is short, on a busy machine too."""

_PATIENT = 1.0
"""Seconds more that one may take through the relay, which has to wait for a processor as others do."""

_SLACK = 2.0
"""Milliseconds, or a tenth of the delay, by which a packet may miss it."""


@dataclass(frozen=True)
class Latency(NetworkFault):
    """Hold every packet back for `delay`, and up to `jitter` more or less; packets of one connection keep their order.

    By default what the service sends is held back: a round trip takes `delay` longer. `--direction both` holds back
    each way, so that a round trip takes twice as much; opening a connection and its first request are two round trips.

    The same seed draws the same jitter for the same packets. Verified by datagrams of its own, on one clock.
    """

    name: ClassVar[str] = "latency"
    summary: ClassVar[str] = "Have its packets come later, evenly or with jitter."
    backends: ClassVar[Mapping[str, str]] = {
        "nfqueue": "a program in the service's network holds packets back",
        "netem": "the kernel's own emulator",
        "proxy": "the environment's relay (`up --relay`), for what comes by published ports",
    }

    delay: float = parameter(0.05, "How much later.", kind=duration, metavar="TIME")
    jitter: float = parameter(0.0, "How much more or less.", kind=duration, metavar="TIME")
    distribution: str = parameter(
        "uniform",
        "How the jitter is spread.",
        choices={
            "uniform": "evenly between delay - jitter and delay + jitter",
            "normal": "around the delay, jitter is the standard deviation",
            "pareto": "a few come very late",
            "paretonormal": "between the two",
        },
    )
    correlation: float = parameter(
        0.0, "How much each jitter follows that of the packet before.", kind=percent, metavar="PERCENT"
    )
    direction: str = parameter("out", "Which way.", choices=DIRECTIONS)

    def problems(self, service: Service) -> Iterable[str]:
        """No time at all, one that no connection outlives, and more jitter than delay."""
        yield from super().problems(service)
        if not 0 <= self.delay <= _LONGEST or self.delay + self.jitter == 0:
            yield f"--delay: wanted more than 0 and at most {_LONGEST:g}s, found {self.delay:g} s"
        if self.jitter > self.delay:
            yield f"--jitter: wanted at most the delay ({self.delay:g} s), found {self.jitter:g} s"

    def problems_at(self, site: Site) -> Iterable[str]:
        """A time that is over before the first packet comes."""
        if site.lasts <= self.delay:
            yield f"--for: wanted more than the delay ({self.delay:g} s), found {site.lasts:g} s"
        yield from super().problems_at(site)

    def how(self, backend: str, site: Site) -> JSON:
        """The program's settings, or the kernel's words for them; or the relay's."""
        packets: JSON = {"seed": site.dice.whole("packets", 0, (1 << 63) - 1), "delay": round(self.delay * 1e6)}
        if self.jitter:
            packets |= {"jitter": round(self.jitter * 1e6), "distribution": self.distribution}
            packets["delay-correlation"] = self.correlation
        if backend == "proxy":
            times = {"delay": self.delay, "jitter": self.jitter, "seed": packets["seed"]}
            spread = {"distribution": self.distribution, "correlation": self.correlation}
            return {"latency": {"ways": self.ways, **times, **spread}}
        return {"packets": packets} if backend == "nfqueue" else {"leaf": leaf(packets)}

    def sample(self) -> JSON:
        """A few packets; with jitter more of them."""
        longest = self.delay + self.jitter * (1 if self.distribution == "uniform" else 5)
        return {"count": 20 if self.jitter else 5, "every": 0.001, "size": 64, "wait": longest}

    def probes_by_relay(self) -> dict[str, JSON]:
        """A few pieces, each way."""
        wanted = self.sample()
        times = {"count": wanted["count"], "every": wanted["every"], "wait": wanted["wait"] + _PATIENT}
        return {way: {"kind": "times", "way": way, **times} for way in self.ways}

    def judge(self, what: str, before: JSON, after: JSON) -> None:
        """The packets came as much later as was asked for."""
        if not after["received"]:
            raise NotReady(f"{what}: no packet came within {self.sample()['wait']:g} s")
        added = [late - early for late, early in zip(after["ms"], before.get("ms", [0, 0, 0]), strict=True)]
        spread = self.jitter * 1000
        slack = max(_SLACK, self.delay * 100)
        least, most = self.delay * 1000 - spread - slack, self.delay * 1000 + spread + slack
        if self.distribution == "uniform" and not (least <= added[0] and added[1] <= most):
            raise NotReady(f"{what}: packets came {added[0]:.1f} to {added[2]:.1f} ms later")
        if added[1] <= 0 and self.delay >= _SEEN:
            raise NotReady(f"{what}: packets came no later than before")

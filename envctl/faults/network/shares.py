"""What the faults share that hit some of a service's packets, each by chance: how large the share is, and whether it is
what was measured.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, ClassVar

from envctl.faults.fault import JSON, parameter
from envctl.faults.network.netem import leaf
from envctl.faults.network.wire import NetworkFault
from envctl.faults.values import percent
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.protocols import Service
    from envctl.site import Site

_LEAST = 0.1
_PACKETS = (100, 1500)
"""How many are sent to measure it, the least and the most."""
_HITS = 15
"""How many of them should be hit."""
_EVERY, _WAIT = 0.0003, 0.08
"""Seconds from one to the next, and for those that are not lost but late, as on a busy machine."""
_TRIES = 3
"""How often it is measured before, at most: one in which packets were late by chance would stand for what is usual."""
_SLACK = 4
"""Standard deviations by which a share may miss what was asked for: one measurement in 16,000 does by chance."""


@dataclass(frozen=True)
class SomePackets(NetworkFault):
    """Some packets fare ill, chosen by chance from a seed; the same seed chooses the same of the same packets."""

    backends: ClassVar[Mapping[str, str]] = {
        "nfqueue": "a program in the service's network judges each packet",
        "netem": "the kernel's own emulator",
    }
    setting: ClassVar[str]
    """What the program calls it, in millionths."""

    percent: float = parameter(10.0, "How many of the packets.", kind=percent, metavar="PERCENT")

    @abstractmethod
    def hit(self, measured: JSON) -> int:
        """How many of a probe's packets fared so."""

    def problems(self, service: Service) -> Iterable[str]:
        """A share that nobody would ever see."""
        yield from super().problems(service)
        if self.percent < _LEAST:
            yield f"--percent: wanted {_LEAST:g} to 100, found {self.percent:g}"

    def how(self, backend: str, site: Site) -> JSON:
        """The program's settings, or the kernel's words for them."""
        seed = site.dice.whole("packets", 0, (1 << 63) - 1)
        packets = {"seed": seed, self.setting: round(self.percent * 10_000), **self.more()}
        return {"packets": packets} if backend == "nfqueue" else {"leaf": leaf(packets)}

    def more(self) -> dict[str, Any]:
        """Further settings of the program."""
        return {}

    def sample(self) -> JSON:
        """As many packets as it takes for some to be hit."""
        count = min(_PACKETS[1], max(_PACKETS[0], round(_HITS * 100 / self.percent)))
        return {"count": count, "every": _EVERY, "size": 64, "wait": _WAIT, "tries": _TRIES}

    def judge(self, what: str, before: JSON, after: JSON) -> None:
        """Some were hit, and as many as was asked for, within what chance allows."""
        sent, found = after["sent"], self.hit(after)
        earlier = min(1.0, self.hit(before) / before["sent"])
        # What another fault does already is there before, and stays.
        share = 1 - (1 - self.percent / 100) * (1 - earlier)
        missed = abs(found - share * sent)
        spread = sqrt(sent * max(share * (1 - share), earlier * (1 - earlier)) * self.clustering)
        if not found or missed > _SLACK * spread + 1:
            raise NotReady(f"{what}: {found} of {sent} packets, {share * 100:.3g} % are wanted")

    @property
    def clustering(self) -> float:
        """By how much their number varies more than if each had a chance of its own."""
        return 1.0

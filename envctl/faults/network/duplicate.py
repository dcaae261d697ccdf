"""Have packets come twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import JSON, parameter
from envctl.faults.network.shares import SomePackets
from envctl.faults.values import percent


@dataclass(frozen=True)
class Duplicate(SomePackets):
    """Have some packets come twice, each way. TCP drops the second one; datagrams reach the program twice.

    The same seed doubles the same of the same packets. Verified by datagrams of its own, within what chance allows.
    """

    name: ClassVar[str] = "duplicate"
    summary: ClassVar[str] = "Have some of its packets come twice."
    setting: ClassVar[str] = "duplicate"

    percent: float = parameter(10.0, "How many of the packets come twice.", kind=percent, metavar="PERCENT")

    def sample(self) -> JSON:
        """Wait for second copies too."""
        return {**super().sample(), "linger": True}

    def hit(self, measured: JSON) -> int:
        """Those that came again."""
        return int(measured["twice"])

"""Lose packets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from envctl.engine.addresses import HOST
from envctl.faults import values
from envctl.faults.fault import JSON, parameter
from envctl.faults.network.shares import SomePackets
from envctl.faults.values import words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envctl.protocols import Service

_CLOSEST = 95.0


@dataclass(frozen=True)
class Loss(SomePackets):
    """Have some packets vanish, each way. TCP sends them again, later and later: connections live on and become slow.

    `--correlation` has them vanish in a row: the share stays what it is, but after a lost packet the next one is that
    much likelier to be lost too.

    The same seed loses the same of the same packets. Verified by datagrams of its own, within what chance allows.
    """

    name: ClassVar[str] = "loss"
    summary: ClassVar[str] = "Lose some of its packets: connections live on, and stumble."
    setting: ClassVar[str] = "loss"

    percent: float = parameter(10.0, "How many of the packets vanish.", kind=values.percent, metavar="PERCENT")
    correlation: float = parameter(
        0.0, "How much the fate of each follows that of the packet before.", kind=values.percent, metavar="PERCENT"
    )

    @property
    def silences(self) -> bool:
        """Where nothing comes through."""
        return self.percent >= 100 and (not self.peer or HOST in words(self.peer))  # noqa: PLR2004 - percent

    def problems(self, service: Service) -> Iterable[str]:
        """Losses in such long rows that there might be none for minutes."""
        yield from super().problems(service)
        if self.correlation > _CLOSEST:
            yield f"--correlation: wanted at most {_CLOSEST:g}, found {self.correlation:g}"

    def more(self) -> dict[str, Any]:
        """How they follow one another."""
        return {"loss-correlation": self.correlation} if self.correlation else {}

    def hit(self, measured: JSON) -> int:
        """Those that did not come."""
        return int(measured["sent"]) - int(measured["received"])

    @property
    def clustering(self) -> float:
        """In rows."""
        follows = self.correlation / 100
        return (1 + follows) / (1 - follows)

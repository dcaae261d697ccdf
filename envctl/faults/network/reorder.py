"""Have packets overtake one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from envctl.faults.fault import JSON, parameter
from envctl.faults.network.shares import SomePackets
from envctl.faults.values import duration, percent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envctl.protocols import Service

_LAGS = (0.005, 2.0)


@dataclass(frozen=True)
class Reorder(SomePackets):
    """Hold some packets back for a while, each way, and let those behind them pass.

    TCP puts them in order again; of three or more that overtook one it thinks that it was lost, sends it again and goes
    slower. Datagrams reach the program in the other order.

    The same seed holds back the same of the same packets. Verified by datagrams of its own, within what chance allows.
    """

    name: ClassVar[str] = "reorder"
    summary: ClassVar[str] = "Have some of its packets be overtaken by those behind them."
    setting: ClassVar[str] = "reorder"

    percent: float = parameter(10.0, "How many of the packets are held back.", kind=percent, metavar="PERCENT")
    lag: float = parameter(0.02, "How long they are held back.", kind=duration, metavar="TIME")

    def problems(self, service: Service) -> Iterable[str]:
        """All of them, which then overtake nobody; and a time in which nobody comes behind."""
        yield from super().problems(service)
        if self.percent > 50:  # noqa: PLR2004 - half of them
            yield f"--percent: wanted at most 50, so that others pass, found {self.percent:g}"
        if not _LAGS[0] <= self.lag <= _LAGS[1]:
            yield f"--lag: wanted {_LAGS[0] * 1000:g}ms to {_LAGS[1]:g}s, found {self.lag:g} s"

    def more(self) -> dict[str, Any]:
        """For how long."""
        return {"hold": round(self.lag * 1e6)}

    def sample(self) -> JSON:
        """Until those that were held back have come."""
        sample = super().sample()
        return {**sample, "wait": sample["wait"] + self.lag}

    def hit(self, measured: JSON) -> int:
        """Those that came after one that was sent later."""
        return int(measured["late"])

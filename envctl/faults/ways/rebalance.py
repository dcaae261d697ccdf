"""Have consumers join their group anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.fault import JSON, parameter
from envctl.faults.values import duration
from envctl.faults.ways.way import OwnWay
from envctl.protocols import NotReady

if TYPE_CHECKING:
    import threading

    from envctl.site import Site


@dataclass(frozen=True)
class Rebalance(OwnWay):
    """Every consumer is thrown out of its group and must join it anew: partitions change hands, commits fail.

    Once, or again and again for as long as the fault lasts. Nothing is left of it; committed offsets are as before.
    """

    name: ClassVar[str] = "rebalance"
    summary: ClassVar[str] = "Throw consumers out of their group: they must join anew."
    instead: ClassVar[str] = "kill, or restart"

    group: str = parameter("", "The group; every one that has members without it.", metavar="NAME")
    every: float = parameter(0.0, "How often, for as long as it lasts; once without it.", kind=duration)

    def __post_init__(self) -> None:
        # Only one that comes again needs somebody who does it.
        object.__setattr__(self, "attended", self.every > 0)

    @property
    def momentary(self) -> bool:
        """Unless it comes again."""
        return self.every == 0

    def attend(self, site: Site, plan: JSON, stop: threading.Event) -> None:
        """Do it again and again; when the broker does not answer, the next time."""
        while not stop.wait(self.every):
            try:
                self.apply(site, plan)
            except NotReady:
                continue

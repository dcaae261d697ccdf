"""What time ZooKeeper has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.services.zookeeper.chaos.session import Session

if TYPE_CHECKING:
    from envctl.model import Endpoint


class ZooKeeperClock:
    """`TellsTime`."""

    def clock(self, at: Endpoint, timeout: float) -> float:
        """The time at which it says a node was made, to the millisecond; the node goes with its session."""
        with Session(at, timeout) as session:
            return session.made_at()

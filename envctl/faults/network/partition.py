"""Part a service from others: packets between them vanish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.engine.addresses import HOST
from envctl.faults.network.wire import NetworkFault
from envctl.faults.values import words
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.faults.fault import JSON
    from envctl.site import Site


@dataclass(frozen=True)
class Partition(NetworkFault):
    """Have all packets between the service and its peers vanish: nobody is told, connections stay and hang.

    `--from zookeeper` parts it from one service, `--from host` from your tests, without it from everybody.
    `--direction in` lets it be heard but not hear, `--direction out` the other way round.

    Connections that live through it go on afterwards, when their own retransmission comes (up to as long as it lasted).
    """

    name: ClassVar[str] = "partition"
    summary: ClassVar[str] = "Part it from others: packets between them vanish."
    backends: ClassVar[Mapping[str, str]] = {"nft": "the kernel drops them, and forgets to when its time is over"}

    @property
    def silences(self) -> bool:
        """Where it is parted from us too."""
        return not self.peer or HOST in words(self.peer)

    def how(self, backend: str, site: Site) -> JSON:
        """Drop."""
        del backend, site
        return {"verdict": "drop"}

    def judge(self, what: str, before: JSON, after: JSON) -> None:
        """Nothing came."""
        if before["received"] and after["received"]:
            raise NotReady(f"{what}: {after['received']} of {after['sent']} packets still come through")

    def sample(self) -> JSON:
        """A few packets, and a moment's wait for what does not come."""
        return {"count": 3, "every": 0.001, "size": 64, "wait": 0.0}

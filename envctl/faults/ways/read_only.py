"""Have a service refuse every write, as a replica does, or a server in recovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class ReadOnly(OwnWay):
    """Refuse writes in the service's own words, on live connections and new ones; reads go on.

    It is what an application sees after a failover that took its primary away under it: it is connected, it can read,
    and what it writes is refused until somebody makes the server a primary again. No data is lost.
    """

    name: ClassVar[str] = "read-only"
    summary: ClassVar[str] = "It refuses every write, as a replica does; reads go on."
    instead: ClassVar[str] = "read-only-disk"

"""Have a service evict keys, as for lack of memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import parameter
from envctl.faults.values import count, percent
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class Evict(OwnWay):
    """Have the service itself evict keys, by one of its policies; a client misses what it has written.

    What may be evicted is recorded first, on this machine's disk. Healing brings back what was evicted, with its time
    to live, but for keys that clients have written anew meanwhile; whoever empties the database gets nothing back.

    Where there is more than can be recorded, it is refused.
    """

    name: ClassVar[str] = "evict"
    summary: ClassVar[str] = "It evicts keys, as for lack of memory."
    instead: ClassVar[str] = "memory-pressure"
    bites_within: ClassVar[float] = 30.0

    keys: int = parameter(10, "How many keys, or some more.", kind=count, metavar="N")
    share: float = parameter(0.0, "Instead: how many percent of those that it may evict.", kind=percent, metavar="P")
    policy: str = parameter("", "By which policy; without it allkeys-lru.")

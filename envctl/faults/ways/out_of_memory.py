"""Let a service's memory be used up by its own account: what would need more is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import parameter
from envctl.faults.values import size
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class OutOfMemory(OwnWay):
    """Refuse what needs memory, in the service's own words; reads and deletes go on, and nothing is evicted.

    Redis: `maxmemory` is set below what is in use, with the policy `noeviction`: `OOM command not allowed when used
    memory > 'maxmemory'`. With --room there is so much left, and whoever writes that much is refused from then on.

    All settings are put back exactly; what somebody else has set meanwhile is left, and told.
    """

    name: ClassVar[str] = "out-of-memory"
    summary: ClassVar[str] = "It refuses what needs memory; reads and deletes go on."
    instead: ClassVar[str] = "memory-pressure or oom-kill"

    room: int = parameter(0, "How much it may still take before it refuses.", kind=size, metavar="SIZE")

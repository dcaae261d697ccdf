"""Slow a service's disk down."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from envctl.capabilities import KeepsData
from envctl.faults.disk import Calls, DiskFault, Order, write_ms
from envctl.faults.fault import JSON, parameter
from envctl.faults.values import duration
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.protocols import Service
    from envctl.site import Site

_LONGEST = 10.0
_PATIENCE = 50.0
"""Seconds for one write; it may make a few slow calls."""

_OPERATIONS: Mapping[str, Calls] = MappingProxyType(
    {
        "sync": Calls.SYNC,
        "write": Calls.SYNC | Calls.WRITE,
        "all": Calls.SYNC | Calls.WRITE | Calls.READ,
    }
)


@dataclass(frozen=True)
class SlowDisk(DiskFault):
    """Hold back the calls of the service's processes that reach the disk of its data directory, each for `latency`.

    Only the thread that calls waits, as for a real disk; `latency` stands for each call, however many there are at
    once: a disk with a long way, not one with a narrow one.

    What a client sees. PostgreSQL: each commit waits for its flush; with `all` every block that is not in memory, too.
    Redis writes its log in the one thread that serves everybody: now and then (it lets a sync that is under way end
    first) all clients wait, for reads as well; with `sync` only WAITAOF does, until a sync is 2 s behind. MinIO and
    ZooKeeper: each write waits, several times. Kafka waits with `write` at each batch; it leaves syncing to the kernel,
    so that `sync` has no effect on it.

    What it does not test: reads and writes through a mapping, io_uring, the page cache's own writing. Each system call
    of the service costs about 20 µs more while it is in force, whatever it is about.
    """

    name: ClassVar[str] = "slow-disk"
    summary: ClassVar[str] = "Slow its disk down: each operation takes longer."

    latency: float = parameter(0.1, "How much longer each operation takes.", kind=duration, metavar="DURATION")
    operations: str = parameter(
        "write",
        "Which operations.",
        choices={"sync": "fsync and fdatasync", "write": "these and writes", "all": "these and reads"},
    )

    def problems(self, service: Service) -> Iterable[str]:
        """No time at all, or one in which nothing would ever be done; and what the service never waits for."""
        if self.operations == "sync" and isinstance(service, KeepsData) and not service.syncs:
            yield f"--operations: {service.name} leaves syncing to the kernel; use write or all"
        if not 0.001 <= self.latency <= _LONGEST:  # noqa: PLR2004 - a millisecond, in which it is counted
            yield f"--latency: wanted 1ms to {_LONGEST:g}s, found {self.latency:g} s"

    def order(self, service: KeepsData) -> Order:
        """A delay."""
        del service
        return Order(_OPERATIONS[self.operations], delay_ms=round(self.latency * 1000))

    def bites(self, site: Site, plan: JSON) -> JSON:
        """A write of the service's own took that much longer, because calls were held back."""
        before = self.ledger(site, plan)["hits"]
        try:
            took = write_ms(site, _PATIENCE)
        except NotReady as reason:
            raise NotReady(f"a write failed: {reason}") from reason
        said = self.ledger(site, plan)
        if took < self.latency * 1000 or said["hits"] == before:
            raise NotReady(f"a write took {took} ms, and {said['hits'] - before} of its calls were held back")
        return {"write_ms": [plan["write_ms"], took], "held_back": said["hits"], "last": said["last"]}

"""What the faults of the disk share: a tracer of system calls, run by the surgeon (compose/images/tools/syscalls).

Data volumes lie on the engine's own file system, which must never be filled, and nothing can be mounted under a server
that runs. So the calls of its processes are answered, or held back, before the kernel sees them. No file is touched,
and when the tracer dies, however, the kernel lets go of all threads: there is nothing to undo but the tracer itself.
"""

from __future__ import annotations

import secrets
import time
from abc import abstractmethod
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, ClassVar

from envctl.capabilities import KeepsData
from envctl.engine.operations import tracing
from envctl.faults.fault import JSON, Abode, Fault
from envctl.protocols import Lost, NotReady
from envctl.waiting import pause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.protocols import Service
    from envctl.site import Site

TRACING = "the tracing of its processes"
"""A claim: a process can be traced by one alone."""

_ARCHITECTURES = ("x86_64", "aarch64", "amd64", "arm64")
_OLDEST_KERNEL = (5, 3)
_GRACE = 15
"""Seconds after the fault's time in which it is healed from here, before the tracer ends by itself."""

_PATIENCE = 10.0
"""Seconds for one write of the service's own, in each of a few attempts."""


class Calls(IntFlag):
    """What a system call does to a disk; as in compose/images/tools/syscalls/calls.h."""

    GROW = 1
    WRITE = 2
    CREATE = 4
    CHANGE = 8
    SYNC = 16
    READ = 32
    FREE = 64


@dataclass(frozen=True)
class Order:
    """What the tracer shall do with which calls: answer them with an errno, or hold them back for milliseconds."""

    calls: Calls
    errno: int = 0
    delay_ms: int = 0


@dataclass(frozen=True)
class DiskFault(Fault):
    """One way in which a disk fails the processes of a service, in its data directory."""

    # A restart ends it; `undo` tells one by somebody else from its own, of a server that it killed.
    lives_in: ClassVar[Abode] = Abode.CONTAINER
    bites_within: ClassVar[float] = 60.0
    heals_within: ClassVar[float] = 120.0

    @abstractmethod
    def order(self, service: KeepsData) -> Order:
        """What it asks of the tracer."""

    @classmethod
    def unfit(cls, service: Service) -> str:
        """It needs data on a disk."""
        if isinstance(service, KeepsData):
            return ""
        return f"{service.name} keeps no data on a disk; use it on the service that it stores its data in"

    def obstacle(self, site: Site) -> str:
        """The tracer knows two processors, and needs a kernel that tells it about calls."""
        info = site.engine.info()
        if (found := str(info.get("Architecture"))) not in _ARCHITECTURES:
            return f"the engine's processor is {found}; system calls are traced on x86_64 and aarch64"
        kernel = str(info.get("KernelVersion"))
        if tuple(map(int, kernel.split("-", maxsplit=1)[0].split(".")[:2])) < _OLDEST_KERNEL:
            return f"the engine's kernel is {kernel}; tracing system calls needs 5.3"
        return ""

    def claims(self, site: Site) -> Sequence[str]:
        """A process can be traced by one alone."""
        del site
        return (TRACING,)

    def plan(self, site: Site) -> JSON:
        """See that a write works, and how long it takes."""
        site.running()
        token = secrets.token_hex(8)
        return {
            "ledger": f"/run/envctl-{token}",
            "seconds": round(site.lasts) + _GRACE,
            "started_at": site.container.started_at,
            "write_ms": write_ms(site),
        }

    def apply(self, site: Site, plan: JSON) -> None:
        """Start the tracer."""
        service, surgeon = keeper(site), site.hands.surgeon(site.environment)
        order, pid = self.order(service), site.hands.pid(site.container.id)
        words = [plan["ledger"], plan["seconds"], pid, service.data_directory, int(order.calls), order.errno]
        site.hands.spawn(surgeon, [tracing.SYSCALLS, *map(str, [*words, order.delay_ms])])

    def undo(self, site: Site, plan: JSON) -> None:
        """End the tracer, and start a server that its disk has killed."""
        over = site.hands.operation(site.environment, "tracing.end", ledger=plan["ledger"])
        now = site.now()
        if now.started_at != plan["started_at"] and not over:
            raise Lost(f"its container was started anew at {now.started_at}, without the fault")
        site.bring_up()

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """No thread is traced, the service answers, and a write reaches its disk."""
        # Of what was refused a server may die later than the tracer.
        site.bring_up()
        site.running()
        pid = site.hands.pid(site.container.id)
        found = site.hands.operation(site.environment, "tracing.threads", pid=pid)
        if found["traced"]:
            raise NotReady(f"{found['traced']} of its {found['threads']} threads are traced")
        site.ping()
        restarted, took = site.now().started_at != plan["started_at"], write_ms(site)
        if remembers := keeper(site).remembers:
            # What it was told before may reach it only now: a write that went through is no proof until that is over.
            pause(remembers)
            took = write_ms(site)
        return {**found, "write_ms": took, "restarted": restarted}

    def ledger(self, site: Site, plan: JSON) -> JSON:
        """What the tracer says: `attached`, `threads`, and of the calls below the data directory `calls` that were
        looked at, `hits` that were refused or held back, and the `last` of these.

        Raises:
            NotReady: it is not attached yet.
            Lost: it never will be.

        """
        said: JSON = site.hands.operation(site.environment, "tracing.said", ledger=plan["ledger"])
        if problem := said.get("problem"):
            raise Lost(f"the tracer could not do its work: {problem}")
        if not said.get("attached"):
            raise NotReady("the tracer is not attached yet")
        return said


class Refusal(DiskFault):
    """A disk fault that refuses writes."""

    def bites(self, site: Site, plan: JSON) -> JSON:
        """A write of the service's own fails, in its own words, because a call was refused."""
        try:
            ms = write_ms(site)
        except NotReady as reason:
            said = self.ledger(site, plan)
            if not said["hits"]:
                raise NotReady(f"a write failed, though no call was refused: {reason}") from reason
            return {"write": str(reason), "refused": said["hits"], "last": said["last"], "threads": said["threads"]}
        raise NotReady(f"a write still goes through, in {ms} ms")


def keeper(site: Site) -> KeepsData:
    """The service, which keeps data."""
    service = site.service
    assert isinstance(service, KeepsData), service.name  # noqa: S101 - `unfit` has seen to it
    return service


def write_ms(site: Site, timeout: float = _PATIENCE) -> int:
    """Milliseconds that one write of the service's own took. Raises NotReady where it was refused."""
    begin = time.monotonic()
    keeper(site).write(site.at, timeout)
    return round((time.monotonic() - begin) * 1000)

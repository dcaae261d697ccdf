"""Let the power of a service fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.capabilities import FearsPower
from envctl.errors import FaultUnfit
from envctl.faults.disk import keeper
from envctl.faults.ending import require_back
from envctl.faults.fault import JSON, Abode, Fault
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.protocols import Service
    from envctl.site import Site

_FOUND = "power.found"


@dataclass(frozen=True)
class PowerLoss(Fault):
    """Let the power fail in the moment in which the fault ends: with its block or its time, or by `chaos heal`.

    What the service had not forced to its disk by then is gone, though it may have been acknowledged: the kernel throws
    it away. SIGKILL loses nothing that the kernel has; so this, and nothing else, tells whether an acknowledged write
    is worth anything. With their defaults PostgreSQL and ZooKeeper lose nothing that they acknowledged; Redis up to a
    second (`appendfsync everysec`); Kafka what it has not flushed, since it relies on replicas, and MinIO what it has
    not forced the names of (`MINIO_FS_OSYNC`).

    It costs two restarts: when it begins, the service is stopped in order and started on a disk of its own, a file
    system in a file beside its volume; when it ends, its processes are killed with the disk, which then recovers, and
    the service is started where its data lay before. A client sees its connections end each time.

    What it does not test: disks that lie about what they have, and writes that are torn in the middle of a block.
    """

    name: ClassVar[str] = "power-loss"
    summary: ClassVar[str] = "Let the power fail when it ends: what was not forced to the disk is gone."
    lives_in: ClassVar[Abode] = Abode.DATA
    bites_within: ClassVar[float] = 120.0
    heals_within: ClassVar[float] = 240.0

    @classmethod
    def unfit(cls, service: Service) -> str:
        """It needs data on a disk."""
        from envctl.capabilities import KeepsData

        if isinstance(service, KeepsData):
            return ""
        return f"{service.name} keeps no data on a disk; use it on the service that it stores its data in"

    def claims(self, site: Site) -> Sequence[str]:
        """One disk in the place of another is enough."""
        del site
        return ("power",)

    def plan(self, site: Site) -> JSON:
        """Where its data lies."""
        site.running()
        if isinstance(site.service, FearsPower) and (reason := site.service.fears_power(site)):
            raise FaultUnfit(f"{site.name} as a service that survives a loss of power", reason, "use kill")
        return site.power.look(keeper(site).data_directory)

    def apply(self, site: Site, plan: JSON) -> None:
        """Start it anew on a disk whose power can fail."""
        site.power.move_in(plan)

    def bites(self, site: Site, plan: JSON) -> JSON:
        """It is on that disk, and answers."""
        site.running()
        if not site.power.has_disks(plan):
            raise NotReady("its data lies where it did")
        site.ping()
        return {"disks": [disk["directory"] for disk in plan["disks"]]}

    def undo(self, site: Site, plan: JSON) -> None:
        """Let the power fail, have the data where it was, start it."""
        if site.power.has_disks(plan):
            site.power.switch_off(plan)
        site.kept[_FOUND] = site.power.move_out(plan) or site.kept.get(_FOUND, {})
        site.bring_up()

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """It answers, from its own volume; and what the disk forgot, of two words that were written to it, one of which
        was forced.
        """
        if any((left := site.power.left(plan)).values()):
            raise NotReady(f"of the disk is left: {left}")
        return {**require_back(site), **site.kept.get(_FOUND, {})}

"""Use up a service's file descriptors: what is open stays open, and nothing more can be opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.ending import require_back
from envctl.faults.fault import JSON, Abode, Fault
from envctl.faults.limits import fail_open, look, new_token
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from envctl.protocols import Service
    from envctl.site import Site


@dataclass(frozen=True)
class ExhaustDescriptors(Fault):
    """Lower the soft limit of open files, of each process of the service, to what it has open.

    Whatever opens a file or takes a connection gets EMFILE, "Too many open files". A live client goes on as long as its
    requests need no new file; a new one connects (the kernel accepts for the server) and then waits, or is hung up on.
    A descriptor that the server closes meanwhile can be used again, so a client that leaves makes room for one. Servers
    may give up by themselves: Kafka when it cannot open a segment of its log, PostgreSQL when it cannot open one of its
    own (PANIC).

    After healing every process has the limit that was recorded, also those that were forked meanwhile.
    """

    name: ClassVar[str] = "exhaust-descriptors"
    summary: ClassVar[str] = "It can open no further file and take no further connection."
    lives_in: ClassVar[Abode] = Abode.PROCESS
    silences: ClassVar[bool] = True
    heals_within: ClassVar[float] = 180.0

    @classmethod
    def unfit(cls, service: Service) -> str:
        """Every process has such a limit."""
        del service
        return ""

    def plan(self, site: Site) -> JSON:
        """The limits of its processes."""
        site.running()
        seen = look(site, "descriptors.look")
        return {"group": seen["group"], "recorded": seen["processes"], "token": new_token()}

    def apply(self, site: Site, plan: JSON) -> None:
        """Lower them."""
        site.hands.operation(site.environment, "descriptors.exhaust", seconds=fail_open(site), **plan)

    def bites(self, site: Site, plan: JSON) -> JSON:
        """No process can open a file; and what a new client gets."""
        asked = {"group": plan["group"], "recorded": plan["recorded"]}
        able = site.hands.operation(site.environment, "descriptors.tighten", **asked)
        if able:
            raise NotReady(f"process {able[0]['pid']} could open file {able[0]['free']} of {able[0]['soft']}")
        try:
            site.ping(0.5)
        except NotReady as refused:
            return {"processes": len(plan["recorded"]), "ping": str(refused)}
        return {"processes": len(plan["recorded"]), "ping": "answered"}

    def undo(self, site: Site, plan: JSON) -> None:
        """Give the limits back; where the service ended meanwhile, start it."""
        site.hands.operation(site.environment, "descriptors.give_back", **plan)
        site.bring_up()

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """It answers, and every process has the limit that it had."""
        back = require_back(site)
        asked = {"group": plan["group"], "recorded": plan["recorded"]}
        if wrong := site.hands.operation(site.environment, "descriptors.differences", **asked):
            raise NotReady(wrong[0])
        return back

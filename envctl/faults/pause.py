"""Freeze a service: its processes stand still, its connections stay open and nothing comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.ending import require_back
from envctl.faults.fault import JSON, Abode, Fault
from envctl.model import State
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from envctl.protocols import Service
    from envctl.site import Site


@dataclass(frozen=True)
class Pause(Fault):
    """Freeze all processes of the service, as a machine does that is overloaded or being migrated.

    Clients still connect (the kernel accepts for the frozen server), send, and wait until their own time limit. After
    healing the server goes on in the very instruction, and finds that its clock has jumped: leases and sessions that
    it or others hold have run out.
    """

    name: ClassVar[str] = "pause"
    summary: ClassVar[str] = "Freeze its processes: connections stay open, nothing answers."
    lives_in: ClassVar[Abode] = Abode.PROCESS
    silences: ClassVar[bool] = True

    @classmethod
    def unfit(cls, service: Service) -> str:
        """Every container can be frozen."""
        del service
        return ""

    def plan(self, site: Site) -> JSON:
        """See that it runs."""
        site.running()
        return {}

    def apply(self, site: Site, plan: JSON) -> None:
        """Freeze it."""
        del plan
        site.hands.pause(site.container.id)

    def bites(self, site: Site, plan: JSON) -> JSON:
        """The engine calls it paused: no instruction of it runs."""
        del plan
        if (state := site.now().state) is not State.PAUSED:
            raise NotReady(f"its container is {state}")
        return {"state": str(State.PAUSED)}

    def undo(self, site: Site, plan: JSON) -> None:
        """Let it go on; where it ended meanwhile, start it."""
        del plan
        if site.now().state is State.PAUSED:
            site.hands.unpause(site.container.id)
        site.bring_up()

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """It answers its own protocol."""
        del plan
        return require_back(site)

"""Stop a service the way its operator would: it is asked to end, and has time to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from envctl.faults.ending import grace_of, require_back, require_settled, start_of
from envctl.faults.fault import JSON, Abode, Fault, parameter
from envctl.faults.values import duration
from envctl.model import State
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from envctl.protocols import Service
    from envctl.site import Site

_KILLED = 137
"""128 + SIGKILL: how a container ends that did not end in time."""


@dataclass(frozen=True)
class Stop(Fault):
    """Stop the service with its own stop signal, and kill it after `grace` seconds; it stays down until healed.

    A live client hears what the server says when it ends (PostgreSQL: `57P01 terminating connection due to
    administrator command`; Kafka and ZooKeeper close; Redis ends the stream), a new one is refused. A clean stop loses
    nothing that was acknowledged: it is the control beside `kill`.
    """

    name: ClassVar[str] = "stop"
    summary: ClassVar[str] = "Stop it cleanly; it stays down until it is healed."
    lives_in: ClassVar[Abode] = Abode.CONTAINER
    silences: ClassVar[bool] = True
    heals_within: ClassVar[float] = 180.0

    grace: float | Literal[""] = parameter(
        "", "Time to end by itself, in whole seconds; its own stop_grace_period without it.", kind=duration
    )

    @classmethod
    def unfit(cls, service: Service) -> str:
        """Every container can be stopped."""
        del service
        return ""

    def plan(self, site: Site) -> JSON:
        """Which run of it is stopped, and how much time it has."""
        return {**start_of(site), "grace": grace_of(site, self.grace)}

    def apply(self, site: Site, plan: JSON) -> None:
        """Stop it; returns when it has ended."""
        site.hands.stop(site.container.id, plan["grace"])

    def bites(self, site: Site, plan: JSON) -> JSON:
        """It ended; by itself, or because its time was over."""
        del plan
        now = site.now()
        if now.state is not State.EXITED:
            raise NotReady(f"its container is {now.state}")
        return {"state": str(now.state), "exit_code": now.exit_code, "in_time": now.exit_code != _KILLED}

    def undo(self, site: Site, plan: JSON) -> None:
        """Start it; a stop whose caller died is waited for first."""
        require_settled(site, plan, plan["grace"])
        site.bring_up()

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """It answers its own protocol."""
        del plan
        return require_back(site)

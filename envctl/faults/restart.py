"""Restart a service: down and up again, with or without a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from envctl.faults.ending import grace_of, require_anew, require_back, require_settled, start_of
from envctl.faults.fault import JSON, Abode, Fault, parameter
from envctl.faults.values import duration, flag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envctl.protocols import Service
    from envctl.site import Site


@dataclass(frozen=True)
class Restart(Fault):
    """Restart the service, cleanly or by SIGKILL; it is over when the service answers again.

    Live connections end and new ones are refused for as long as the server needs to come up: tenths of a second for
    Redis, MinIO and PostgreSQL, seconds for ZooKeeper, Kafka and Spark. A client must connect again, and do again what
    was not acknowledged; what is kept in memory only (Spark's sessions, PostgreSQL's temporary tables, Redis' client
    names and subscriptions) is gone.
    """

    name: ClassVar[str] = "restart"
    summary: ClassVar[str] = "Stop and start it again, cleanly or not."
    lives_in: ClassVar[Abode] = Abode.CONTAINER
    momentary: ClassVar[bool] = True
    heals_within: ClassVar[float] = 180.0

    graceful: bool = parameter(default=True, help="Ask it to end; otherwise it is killed.", kind=flag)
    grace: float | Literal[""] = parameter(
        "", "Time to end by itself, in whole seconds; its own stop_grace_period without it.", kind=duration
    )

    @classmethod
    def unfit(cls, service: Service) -> str:
        """Every container can be restarted."""
        del service
        return ""

    def problems(self, service: Service) -> Iterable[str]:
        """Time for something that gets none."""
        del service
        if not self.graceful and self.grace != "":
            yield "--grace: wanted none with --graceful no (a kill gives no time)"

    def plan(self, site: Site) -> JSON:
        """Which run of it ends, and how much time it has."""
        return {**start_of(site), "grace": grace_of(site, self.grace) if self.graceful else 0}

    def apply(self, site: Site, plan: JSON) -> None:
        """Down and up."""
        container = site.container.id
        if self.graceful:
            site.hands.restart(container, plan["grace"])
        else:
            site.hands.kill(container)
            site.hands.start(container)

    def bites(self, site: Site, plan: JSON) -> JSON:
        """It runs, and has begun anew."""
        return require_anew(site, plan)

    def undo(self, site: Site, plan: JSON) -> None:
        """Start it where the restart broke off."""
        require_settled(site, plan, plan["grace"])
        site.bring_up()

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """It answers its own protocol."""
        del plan
        return require_back(site)

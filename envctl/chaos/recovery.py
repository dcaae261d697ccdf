"""Recovery: a service is what it was before, and how long that took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.chaos.warden import heal_overdue
from envctl.errors import NotReadyInTime, Unmet
from envctl.protocols import HasIdentities, Lost, NotReady
from envctl.waiting import Deadline, TimedOut, until

if TYPE_CHECKING:
    from envctl.chaos.ward import Ward


@dataclass(frozen=True, slots=True)
class Recovered:
    """`ms` of waiting until the service answered and nothing was in force; `since_heal_ms` from the last healing of a
    fault on it to now, None when none was healed.
    """

    service: str
    ms: int
    since_heal_ms: int | None


def wait_recovered(ward: Ward, service: str, timeout: float) -> Recovered:
    """Wait until no fault is in force on a service and it answers its own protocol with the identities it had.

    What is overdue is healed; a fault whose time is not over is waited for.

    Raises:
        NotReadyInTime: `timeout` seconds passed; says what was still in force, or what the service answered.

    """
    site, deadline = ward.site(service), Deadline(timeout)

    def probe() -> None:
        heal_overdue(ward)
        if in_force := [entry for entry in ward.journal.entries() if entry.service == service]:
            told = ", ".join(
                f"{e.id} for {e.expires.left:.0f} s more{f' ({e.problem})' if e.problem else ''}" for e in in_force
            )
            raise NotReady(f"in force: {told}")
        try:
            site.running()
        except Lost as lost:
            raise NotReady(str(lost)) from lost
        if isinstance(site.service, HasIdentities) and site.at.app is None:
            raise NotReady("its passwords are lost")
        site.ping(max(0.1, min(2.0, deadline.left)))

    try:
        until(probe, timeout, f"{service} recovered")
    except TimedOut as error:
        state = site.engine.container(site.container.id)
        unmet = Unmet(service, error.last, str(state.state) if state else "absent")
        raise NotReadyInTime(timeout, [unmet], "`envctl chaos heal` heals what is in force now") from error
    return Recovered(service, round(deadline.elapsed * 1000), _since_heal(ward, service))


def _since_heal(ward: Ward, service: str) -> int | None:
    import time

    healed = [
        line["monotonic"]
        for line in ward.journal.history()
        if line["event"] == "fault.healed" and line["service"] == service
    ]
    return round((time.monotonic() - healed[-1]) * 1000) if healed else None

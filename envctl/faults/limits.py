"""What faults share that lower a limit of a control group: the recorded numbers come back, if need be by themselves."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.ending import require_back
from envctl.faults.fault import JSON, Abode, Fault
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.protocols import Service
    from envctl.site import Site

_FAIL_OPEN = 10.0


@dataclass(frozen=True)
class Limiting(Fault):
    """A fault that sets what its plan calls `wanted` and gives back what it calls `limits`."""

    lives_in: ClassVar[Abode] = Abode.PROCESS
    bites_within: ClassVar[float] = 30.0
    heals_within: ClassVar[float] = 180.0
    controller: ClassVar[str]
    """Of the control group: `cpu` or `memory`."""

    @classmethod
    def unfit(cls, service: Service) -> str:
        """Every container has a control group."""
        del service
        return ""

    def apply(self, site: Site, plan: JSON) -> None:
        """Set the limits."""
        change = {key: plan[key] for key in ("group", "limits", "wanted", "token")}
        site.hands.operation(site.environment, "limits.impose", seconds=fail_open(site), **change)

    def undo(self, site: Site, plan: JSON) -> None:
        """Give the limits back; where the service ended meanwhile, start it."""
        change = {key: plan[key] for key in ("group", "limits", "token")}
        site.hands.operation(site.environment, "limits.lift", **change)
        site.bring_up()

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """It answers, and its limits are the recorded ones."""
        return {**require_back(site), "limits": require_limits(site, self.controller, plan["limits"])}


def new_token() -> str:
    """By which a child in the surgeon is found again."""
    return secrets.token_hex(8)


def fail_open(site: Site) -> float:
    """Seconds after which a child in the surgeon ends a fault: its time, and ten more in which others may."""
    return site.lasts + _FAIL_OPEN


def look(site: Site, operation: str, **arguments: object) -> JSON:
    """What an operation sees of the service's main process.

    Raises:
        NotReady: it does not run.

    """
    seen: JSON = site.hands.operation(site.environment, operation, pid=site.hands.pid(site.container.id), **arguments)
    return seen


def require_limits(site: Site, controller: str, recorded: Mapping[str, str]) -> Mapping[str, str]:
    """See that its limits are those that were recorded.

    Raises:
        NotReady: they are not.

    """
    if (now := look(site, "limits.look", controller=controller)["limits"]) != recorded:
        raise NotReady(f"its limits are {now} instead of {recorded}")
    return recorded

"""Take the processor away from a service: it answers, but late."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from envctl.errors import FaultUnfit
from envctl.faults.ending import require_back
from envctl.faults.fault import JSON, Abode, Fault, parameter
from envctl.faults.values import percent, read
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envctl.protocols import Service
    from envctl.site import Site

_LEAST = 1_000
"""Microseconds: the kernel takes no smaller quota (sched-bwc)."""
_FAIL_OPEN = 10.0
"""Seconds after its time at which the limit goes by itself, when nobody has taken it away."""
_THROTTLINGS = 3
_UNLIMITED = {"-1", "max"}


def share(value: Any) -> float:  # noqa: ANN401 - what a caller gave
    """1 to 100, with or without a percent sign."""
    number, wanted = read(percent, value)
    if wanted or number < 1:
        raise ValueError("a percentage, 1 to 100")
    return float(number)


@dataclass(frozen=True)
class CpuStarve(Fault):
    """Leave the service `share` percent of one processor, by the quota of its control group.

    Clients, live and new, are answered late: the server stands still for most of each tenth of a second. What has a
    time limit of its own (health checks, sessions with ZooKeeper, consumers' heartbeats) may run out. `docker exec` and
    health checks in the container are slow too, since they belong to the same group.

    The quota is written into the group itself, and the recorded number comes back, which `docker update` cannot do.
    It goes by itself 10 s after its time. Verified by the kernel's own count of how often it held the group back.
    """

    name: ClassVar[str] = "cpu-starve"
    summary: ClassVar[str] = "Leave it a few percent of one processor."
    lives_in: ClassVar[Abode] = Abode.PROCESS
    bites_within: ClassVar[float] = 30.0
    heals_within: ClassVar[float] = 120.0

    share: float = parameter(5.0, "Percent of one processor that it keeps, 1 to 100.", kind=share, metavar="PERCENT")

    @classmethod
    def unfit(cls, service: Service) -> str:
        """Every container has a control group."""
        del service
        return ""

    def problems(self, service: Service) -> Iterable[str]:
        """A share that is none."""
        del service
        if wanted := read(share, self.share)[1]:
            yield f"--share: wanted {wanted}, found {self.share!r}"

    def plan(self, site: Site) -> JSON:
        """Its group and the quota that it has."""
        site.running()
        seen = self._look(site)
        period, quota = _bandwidth(seen["limits"])
        wanted = max(_LEAST, round(period * self.share / 100))
        if quota is not None and quota <= wanted:
            raise FaultUnfit(
                f"less than it has of a processor for {site.name}",
                f"its own limit is {100 * quota / period:g} % of one",
                f"ask for less than --share {100 * quota / period:g}",
            )
        limits = (
            {"cpu.cfs_quota_us": str(wanted)} if seen["group"]["version"] == 1 else {"cpu.max": f"{wanted} {period}"}
        )
        return {**seen, "wanted": limits, "token": secrets.token_hex(8)}

    def apply(self, site: Site, plan: JSON) -> None:
        """Set the quota."""
        change = {key: plan[key] for key in ("group", "limits", "wanted", "token")}
        site.hands.operation(site.environment, "limits.impose", seconds=site.lasts + _FAIL_OPEN, **change)

    def bites(self, site: Site, plan: JSON) -> JSON:
        """How long work takes in its group, and how often the kernel held that back."""
        asked: JSON = {"group": plan["group"], "seconds": 5.0, "throttlings": _THROTTLINGS}
        measured: JSON = site.hands.operation(site.environment, "starving.measure", **asked)
        if measured["throttled"] < _THROTTLINGS:
            raise NotReady(f"the kernel held it back {measured['throttled']} times in {measured['ms']} ms")
        return {"share": self.share, **measured}

    def undo(self, site: Site, plan: JSON) -> None:
        """Give the quota back; where the service ended meanwhile, start it."""
        change = {key: plan[key] for key in ("group", "limits", "token")}
        site.hands.operation(site.environment, "limits.lift", **change)
        site.bring_up()

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """It answers, and its limits are the recorded ones."""
        back = require_back(site)
        if (now := self._look(site)["limits"]) != plan["limits"]:
            raise NotReady(f"its limits are {now} instead of {plan['limits']}")
        return {**back, "limits": plan["limits"]}

    def _look(self, site: Site) -> JSON:
        pid = site.hands.pid(site.container.id)
        seen: JSON = site.hands.operation(site.environment, "limits.look", pid=pid, controller="cpu")
        return seen


def _bandwidth(limits: dict[str, str]) -> tuple[int, int | None]:
    """Period and quota in microseconds; None for no quota."""
    quota, period = limits["cpu.max"].split() if "cpu.max" in limits else reversed(list(limits.values()))
    return int(period), None if quota in _UNLIMITED else int(quota)

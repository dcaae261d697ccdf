"""Take the processor away from a service: it answers, but late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from envctl.errors import FaultUnfit
from envctl.faults.fault import JSON, parameter
from envctl.faults.limits import Limiting, look, new_token
from envctl.faults.values import percent, read
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envctl.protocols import Service
    from envctl.site import Site

_LEAST = 1_000
"""Microseconds: the kernel takes no smaller quota (sched-bwc)."""
_THROTTLINGS = 3
_UNLIMITED = {"-1", "max"}


def share(value: Any) -> float:  # noqa: ANN401 - what a caller gave
    """1 to 100, with or without a percent sign."""
    number, wanted = read(percent, value)
    if wanted or number < 1:
        raise ValueError("a percentage, 1 to 100")
    return float(number)


@dataclass(frozen=True)
class CpuStarve(Limiting):
    """Leave the service `share` percent of one processor, by the quota of its control group.

    What takes the server more than a few milliseconds is answered late: it stands still for most of each tenth of a
    second. Small requests to an idle server may be as quick as ever. What has a
    time limit of its own (health checks, sessions with ZooKeeper, consumers' heartbeats) may run out. `docker exec` and
    health checks in the container are slow too, since they belong to the same group.

    The quota is written into the group itself, and the recorded number comes back, which `docker update` cannot do.
    It goes by itself 10 s after its time. Verified by the kernel's own count of how often it held the group back.
    """

    name: ClassVar[str] = "cpu-starve"
    summary: ClassVar[str] = "Leave it a few percent of one processor."
    controller: ClassVar[str] = "cpu"

    share: float = parameter(5.0, "Percent of one processor that it keeps, 1 to 100.", kind=share, metavar="PERCENT")

    def problems(self, service: Service) -> Iterable[str]:
        """A share that is none."""
        del service
        if wanted := read(share, self.share)[1]:
            yield f"--share: wanted {wanted}, found {self.share!r}"

    def plan(self, site: Site) -> JSON:
        """Its group and the quota that it has."""
        site.running()
        seen = look(site, "limits.look", controller=self.controller)
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
        return {**seen, "wanted": limits, "token": new_token()}

    def bites(self, site: Site, plan: JSON) -> JSON:
        """How long work takes in its group, and how often the kernel held that back."""
        asked: JSON = {"group": plan["group"], "seconds": 5.0, "throttlings": _THROTTLINGS}
        measured: JSON = site.hands.operation(site.environment, "starving.measure", **asked)
        if measured["throttled"] < _THROTTLINGS:
            raise NotReady(f"the kernel held it back {measured['throttled']} times in {measured['ms']} ms")
        return {"share": self.share, **measured}


def _bandwidth(limits: dict[str, str]) -> tuple[int, int | None]:
    """Period and quota in microseconds; None for no quota."""
    quota, period = limits["cpu.max"].split() if "cpu.max" in limits else reversed(list(limits.values()))
    return int(period), None if quota in _UNLIMITED else int(quota)

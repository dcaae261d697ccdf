"""Set a service's clock wrong."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from envctl.capabilities import KeepsData, KeepsTimes, TellsTime
from envctl.engine.operations import tracing
from envctl.faults.disk import TRACING
from envctl.faults.fault import JSON, Abode, Fault, parameter
from envctl.faults.values import duration
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from envctl.protocols import Service
    from envctl.site import Site

_GRACE = 15
"""Seconds after the fault's time in which it is healed from here, before the clock is set right by itself."""

_PATIENCE = 10.0
"""Seconds for one question, or one write, of the service's own."""

_SHORTEST, _LONGEST = 5.0, 3650 * 86400.0
_BLUR = 2.0
"""Seconds by which two looks at a clock may differ: some services tell whole seconds."""


def shift(value: Any) -> float:  # noqa: ANN401 - what a caller gave
    """Seconds, or a text with a sign and units: `+2h`, `-1d`."""
    if isinstance(value, str):
        size = duration(value.strip().removeprefix("+").removeprefix("-"))
        return -size if value.strip().startswith("-") else size
    return -duration(-value) if not isinstance(value, bool) and value < 0 else duration(value)


@dataclass(frozen=True)
class ClockSkew(Fault):
    """Let the service have another time of day than the rest of the world, as a machine does whose clock is set wrong.

    Its processes, and those that they fork, see the wall clock moved by `offset` from one instant to the next, and back
    at healing. Clocks that count from the boot stay as they are, so that timers and time limits keep their length.

    What a client sees. PostgreSQL: `now()` is wrong, in sessions that are open too; a password with an expiry
    (`VALID UNTIL`) may have run out. Redis: TIME is wrong, and keys with a time to live end early or late. MinIO: more
    than 15 minutes make every signed request and presigned URL fail (403 RequestTimeTooSkewed). Kafka: the timestamps
    of topics with LogAppendTime are wrong, and retention deletes too early or too late. ZooKeeper: nodes are dated
    wrong.

    What it does not test: programs that ask the kernel without the C library's way (the vDSO), 32-bit ones, and those
    that the service starts by an exec; the times of files and the engine's log, which the kernel and the engine write.
    """

    name: ClassVar[str] = "clock-skew"
    summary: ClassVar[str] = "Set its wall clock wrong."
    lives_in: ClassVar[Abode] = Abode.PROCESS
    bites_within: ClassVar[float] = 30.0

    offset: float = parameter(3600.0, "How far: +2h, -1d.", kind=shift, metavar="OFFSET")

    @classmethod
    def unfit(cls, service: Service) -> str:
        """It needs a service that says what time it has: else nobody could see it."""
        if isinstance(service, TellsTime):
            return ""
        return f"{service.name} does not say what time it has, so that nothing could be proven; use pause for a jump"

    def problems(self, service: Service) -> Iterable[str]:
        """A shift that cannot be told from none, or out of all reason."""
        del service
        if not _SHORTEST <= abs(self.offset) <= _LONGEST:
            yield f"--offset: wanted 5s to 3650d, with or without a sign, found {self.offset:g} s"

    def obstacle(self, site: Site) -> str:
        """The code that answers is made for one processor."""
        if (found := str(site.engine.info().get("Architecture"))) in {"x86_64", "amd64"}:
            return ""
        return f"the engine's processor is {found}; clocks are skewed on x86_64 only: use pause, which makes them jump"

    def claims(self, site: Site) -> Sequence[str]:
        """Its processes stand still for a moment, held by a tracer."""
        del site
        return (TRACING,)

    def plan(self, site: Site) -> JSON:
        """How far it is ahead of this machine's clock."""
        site.running()
        service = site.service
        return {
            "ledger": f"/run/envctl-{secrets.token_hex(8)}",
            "seconds": round(site.lasts) + _GRACE,
            "ahead": _ahead(site),
            "reckoning": service.reckoning(site.at, _PATIENCE) if isinstance(service, KeepsTimes) else {},
        }

    def apply(self, site: Site, plan: JSON) -> None:
        """Turn the processes' ways to the time."""
        surgeon, pid = site.hands.surgeon(site.environment), site.hands.pid(site.container.id)
        words = [plan["ledger"], plan["seconds"], pid, round(self.offset * 1e9)]
        site.hands.spawn(surgeon, [tracing.CLOCK, *map(str, words)])

    def bites(self, site: Site, plan: JSON) -> JSON:
        """The service says another time, by that much."""
        said = site.hands.operation(site.environment, "tracing.said", ledger=plan["ledger"])
        if not said or said["problem"]:
            raise NotReady(said.get("problem") or "its processes are not turned yet")
        moved = _ahead(site) - plan["ahead"]
        if abs(moved - self.offset) > _BLUR:
            raise NotReady(f"its clock moved by {moved:.1f} s")
        return {"moved_s": round(moved, 3), "processes": said["processes"]}

    def undo(self, site: Site, plan: JSON) -> None:
        """Turn them back."""
        site.hands.operation(site.environment, "tracing.end", ledger=plan["ledger"])
        site.bring_up()
        self._restore(site)
        if isinstance(site.service, KeepsTimes):
            site.service.reckon_anew(site.at, plan["reckoning"], _PATIENCE)

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """Every process has the kernel's own code again, the clock is right, and the service answers."""
        if changed := self._restore(site)["changed"]:
            raise NotReady(f"{changed} of its processes were still turned")
        moved = _ahead(site) - plan["ahead"]
        if abs(moved) > _BLUR:
            raise NotReady(f"its clock is still {moved:.1f} s away")
        site.ping()
        if isinstance(site.service, KeepsData):
            # A server may answer and yet wait, by a time that it noted meanwhile, with what must reach the disk.
            site.service.write(site.at, _PATIENCE)
        return {"moved_s": round(moved, 3)}

    def _restore(self, site: Site) -> JSON:
        """Turn back whoever is turned; how many there were."""
        pid = site.hands.pid(site.container.id)
        said: JSON = site.hands.operation(site.environment, "tracing.restore_clock", pid=pid)
        if said["problem"]:
            raise NotReady(said["problem"])
        return said


def _ahead(site: Site) -> float:
    """Seconds by which its clock is ahead of this machine's."""
    service = site.service
    assert isinstance(service, TellsTime), service.name  # noqa: S101 - `unfit` has seen to it
    begin = time.time()
    told = service.clock(site.at, 5.0)
    return told - (begin + time.time()) / 2

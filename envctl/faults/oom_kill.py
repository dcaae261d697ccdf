"""Have the kernel kill a service for its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.ending import require_back, start_of
from envctl.faults.fault import JSON, Abode, Fault, parameter
from envctl.faults.limits import look, new_token, require_limits
from envctl.faults.memory_pressure import MIB, allowed
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.protocols import Service
    from envctl.site import Site

_ROOM = 64 * MIB
"""What is left above what is used, and then filled: the victim must count for more than what fills it."""
_PATIENCE = 20.0


@dataclass(frozen=True)
class OomKill(Fault):
    """Lower the memory limit of the service, fill what is left, and have the kernel's own killer end a process.

    Without a word the process is gone. Where it is the main one, or the only one under an init (Redis, MinIO, Kafka,
    ZooKeeper, Spark), the container ends with 137 and the engine notes OOMKilled; it stays down until healed, unless a
    restart policy acts. On PostgreSQL the victim may be the main process, or one backend: then every session ends
    (`57P02`: "terminating connection because of crash of another server process"), the server recovers by itself and
    the container runs on.

    The limit comes back as soon as the kernel has killed. Proved by the kernel's count of kills in this very group.
    """

    name: ClassVar[str] = "oom-kill"
    summary: ClassVar[str] = "Have the kernel kill it for its memory."
    lives_in: ClassVar[Abode] = Abode.CONTAINER
    silences: ClassVar[bool] = True
    bites_within: ClassVar[float] = 30.0
    heals_within: ClassVar[float] = 180.0

    victim: str = parameter(
        "largest",
        "Which process.",
        choices={
            "largest": "the one with the most memory, as the kernel would choose",
            "main": "the main one, and the container with it",
        },
    )

    @classmethod
    def unfit(cls, service: Service) -> str:
        """Every container has a control group."""
        del service
        return ""

    def claims(self, site: Site) -> Sequence[str]:
        """The memory limit."""
        del site
        return ("memory limit",)

    def plan(self, site: Site) -> JSON:
        """Its group, its limits, and the victim with the kernel's score for it."""
        start = start_of(site)
        seen = look(site, "memory.look")
        victim = (
            look(site, "memory.describe")
            if self.victim == "main"
            else site.hands.operation(site.environment, "memory.largest", group=seen["group"])
        )
        now = allowed(seen["limits"])
        limit = seen["used"] + _ROOM if now is None else min(now, seen["used"] + _ROOM)
        # Nothing may go to the swap instead, and the kernel must be allowed to kill.
        lowered = (
            {"memory.swappiness": "0", "memory.oom_control": "0", "memory.limit_in_bytes": str(limit)}
            if seen["group"]["version"] == 1
            else {"memory.swap.max": "0", "memory.max": str(limit)}
        )
        wanted = {file: value for file, value in lowered.items() if file in seen["limits"]}
        return {**start, **seen, "victim": victim, "wanted": wanted, "token": new_token()}

    def apply(self, site: Site, plan: JSON) -> None:
        """Fill it until the kernel kills."""
        change = {key: plan[key] for key in ("group", "wanted", "victim", "token")}
        site.kept["killed"] = site.hands.operation(
            site.environment, "memory.overfill", limits_before=plan["limits"], seconds=_PATIENCE, **change
        )

    def bites(self, site: Site, plan: JSON) -> JSON:
        """The kernel's count, where the group was there long enough to be asked, and what the engine heard of it."""
        killed, now = site.kept["killed"], site.now()
        if not killed["gone"] or not (killed["oom_kills"] or now.oom_killed):
            raise NotReady(f"the kernel killed {killed['oom_kills']} processes; the victim is gone: {killed['gone']}")
        victim = {key: plan["victim"][key] for key in ("name", "pid", "bytes")}
        return {"oom_kills": killed["oom_kills"], "victim": victim, "engine_says_oom_killed": now.oom_killed}

    def undo(self, site: Site, plan: JSON) -> None:
        """Give the limits back where they still are lowered, and start what ended."""
        change = {key: plan[key] for key in ("group", "victim", "token")}
        site.hands.operation(site.environment, "memory.relieve", limits_before=plan["limits"], **change)
        site.bring_up()

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """It answers, and its limits are the recorded ones."""
        return {**require_back(site), "limits": require_limits(site, "memory", plan["limits"])}

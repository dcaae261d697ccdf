"""Have a service come up and die, again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.ending import require_back, start_of
from envctl.faults.fault import JSON, Abode, Fault, parameter
from envctl.faults.limits import fail_open, new_token
from envctl.faults.values import duration
from envctl.model import State
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.protocols import Service
    from envctl.site import Site

ALWAYS = {"Name": "always", "MaximumRetryCount": 0}
_DEATHS = 2

_LONGEST_LIFE = 10.0
"""Seconds: the engine takes one that lived longer for well, and waits no longer before it starts it the next time."""


@dataclass(frozen=True)
class CrashLoop(Fault):
    """Kill the service's main process `lives` after each start, and let the engine start it again.

    A client sees what a crash loop shows: connections that end, then refusals, then perhaps a moment in which the
    server answers. The engine waits longer before each start, from 0.1 s to a minute; a run of ten seconds sets that
    back. Whether a server answers at all in between depends on `lives`: Redis and MinIO do within half a second, Kafka
    and Spark need several.

    The restart policy is `always` meanwhile, and then exactly what it was. The loop ends by itself 10 s after its time.
    """

    name: ClassVar[str] = "crash-loop"
    summary: ClassVar[str] = "It comes up and dies, again and again, until it is healed."
    lives_in: ClassVar[Abode] = Abode.CONTAINER
    silences: ClassVar[bool] = True
    bites_within: ClassVar[float] = 60.0
    heals_within: ClassVar[float] = 180.0

    lives: float = parameter(0.5, "How long it lives each time.", kind=duration)

    @classmethod
    def unfit(cls, service: Service) -> str:
        """Every container can crash."""
        del service
        return ""

    def problems(self, service: Service) -> Iterable[str]:
        """A life so long that its deaths would not be seen."""
        del service
        if self.lives > _LONGEST_LIFE:
            yield f"--lives: wanted at most {_LONGEST_LIFE:g}s, found {self.lives:g} s"

    def claims(self, site: Site) -> Sequence[str]:
        """The restart policy."""
        del site
        return ("restart policy",)

    def plan(self, site: Site) -> JSON:
        """The restart policy, and how often the engine has started it."""
        start = start_of(site)
        seen = site.hands.inspect(site.container.id)
        group = site.hands.operation(site.environment, "looping.folder", pid=seen["State"]["Pid"])
        token = new_token()
        return {
            **start,
            "policy": _named(seen["HostConfig"]["RestartPolicy"]),
            "restarts": seen["RestartCount"],
            "group": group,
            "token": token,
        }

    def apply(self, site: Site, plan: JSON) -> None:
        """Let the engine start it again each time, and begin to kill."""
        site.hands.set_restart_policy(site.container.id, ALWAYS)
        loop = {"folder": plan["group"]["folder"], "lives": self.lives, "token": plan["token"]}
        site.hands.operation(site.environment, "looping.begin", seconds=fail_open(site), **loop)

    def bites(self, site: Site, plan: JSON) -> JSON:
        """The engine has started it again more than once."""
        now = site.now()
        if (again := now.restarts - plan["restarts"]) < _DEATHS:
            raise NotReady(f"it was started again {again} times")
        return {"restarts": again}

    def undo(self, site: Site, plan: JSON) -> None:
        """End the loop, give the policy back, and start it."""
        container = site.container.id
        ended = site.hands.operation(site.environment, "looping.end", token=plan["token"])
        if ended or site.now().state is State.RESTARTING:
            # Also ends the engine's wait before its next start, which may be a minute.
            site.hands.stop(container, 0)
        if self._policy(site) != plan["policy"]:
            site.hands.set_restart_policy(container, plan["policy"])
        site.bring_up()

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """It answers, and its restart policy is the recorded one."""
        if (policy := self._policy(site)) != plan["policy"]:
            raise NotReady(f"its restart policy is {policy} instead of {plan['policy']}")
        return {**require_back(site), "policy": policy}

    def _policy(self, site: Site) -> Mapping[str, object]:
        return _named(site.hands.inspect(site.container.id)["HostConfig"]["RestartPolicy"])


def _named(policy: Mapping[str, object]) -> Mapping[str, object]:
    """A container made without a policy has one without a name, which the engine does not take back: it means `no`."""
    return {**policy, "Name": policy["Name"] or "no"}

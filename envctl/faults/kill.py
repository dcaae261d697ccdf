"""Kill a service: it is gone from one instruction to the next, with everything that it had only in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.ending import require_anew, require_back, require_settled, start_of
from envctl.faults.fault import JSON, Abode, Fault, parameter
from envctl.faults.signals import STOPPING, signal
from envctl.faults.values import read
from envctl.model import State
from envctl.protocols import NotReady
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envctl.protocols import Service
    from envctl.site import Site

NOBODY, POLICY, ENVCTL = "nobody", "policy", "envctl"
_DYING = 10.0
"""Seconds that a signal has to end it; a server that only shuts down for its clients' sake takes longer."""


@dataclass(frozen=True)
class Kill(Fault):
    """Send a signal, by default SIGKILL, to the service's main process; with it goes the whole container.

    A live client's connection is closed without a word (reset, or end of stream); a new one is refused. What the server
    had not written is lost; what it had written and not synced is not, because the machine's own memory goes on: this
    does not test a loss of power. Servers recover when they start again: PostgreSQL replays its log, Redis its
    append-only file, Kafka waits until ZooKeeper has forgotten its old session (6 s) and looks through its segments.
    Spark's sessions, and their views, are gone for good.

    A signal other than KILL does what the server makes of it; it counts as an effect when the service ended, or
    answers no more. What the engine sends is a stop by hand to it: no restart policy acts before the next start.
    """

    name: ClassVar[str] = "kill"
    summary: ClassVar[str] = "Kill its main process, or send it any signal."
    lives_in: ClassVar[Abode] = Abode.CONTAINER
    bites_within: ClassVar[float] = 15.0
    heals_within: ClassVar[float] = 180.0

    signal: str = parameter("KILL", "The signal: KILL, TERM, QUIT … or its number.", kind=signal, metavar="NAME")
    restarted_by: str = parameter(
        NOBODY,
        "Who starts it again.",
        choices={
            NOBODY: "it stays down until it is healed",
            POLICY: "the engine, by the container's restart policy",
            ENVCTL: "envctl, at once",
        },
    )

    @property
    def silences(self) -> bool:
        """Only while it is down."""
        return self.restarted_by == NOBODY

    @property
    def momentary(self) -> bool:
        """It is over when it is started again."""
        return self.restarted_by != NOBODY

    @classmethod
    def unfit(cls, service: Service) -> str:
        """Every container can be killed."""
        del service
        return ""

    def problems(self, service: Service) -> Iterable[str]:
        """A signal that there is not."""
        del service
        if wanted := read(signal, self.signal)[1]:
            yield f"--signal: wanted {wanted}, found {self.signal!r}"

    def obstacle(self, site: Site) -> str:
        """A restart policy that does not act."""
        if self.restarted_by != POLICY:
            return ""
        policy = site.hands.inspect(site.container.id)["HostConfig"]["RestartPolicy"]["Name"] or "no"
        if policy != "no":
            return ""
        return 'its restart policy is "no": use restarted-by envctl, or give the service `restart: always`'

    def plan(self, site: Site) -> JSON:
        """Which run of it is killed; its process, where the engine must not know who did it."""
        start = start_of(site)
        if self.restarted_by == POLICY:
            pid = site.hands.pid(site.container.id)
            start["main"] = site.hands.operation(site.environment, "processes.look", pid=pid)
        return start

    def apply(self, site: Site, plan: JSON) -> None:
        """Send it."""
        if self.restarted_by == POLICY:
            site.hands.operation(site.environment, "processes.send", name=self.signal, **plan["main"])
            return
        site.hands.kill(site.container.id, f"SIG{self.signal}")
        if self.restarted_by == ENVCTL:
            try:
                until(lambda: self._require_ended(site), self.bites_within, "it ends")
            except TimedOut as error:
                raise NotReady(error.last) from error
            site.hands.start(site.container.id)

    def bites(self, site: Site, plan: JSON) -> JSON:
        """It ended; or it runs anew; or, after a signal that it handles, it answers no more."""
        if self.restarted_by != NOBODY:
            return require_anew(site, plan)
        if site.now().state is State.RUNNING and self.signal != "KILL":
            return self._require_mute(site)
        return self._require_ended(site)

    def undo(self, site: Site, plan: JSON) -> None:
        """Start it. One that a signal has made useless without ending it is ended first."""
        container = site.container.id
        if site.now().state is State.RUNNING and self.signal in STOPPING:
            site.hands.kill(container, "SIGCONT")
        elif self.signal not in STOPPING:
            require_settled(site, plan, 0 if self.signal == "KILL" else _DYING)
        now = site.now()
        if now.state is State.RUNNING and now.started_at == plan["started_at"]:
            try:
                until(site.ping, _DYING, "it answers")
            except TimedOut:
                site.hands.stop(container, 5)
        site.bring_up()

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """It answers its own protocol."""
        del plan
        return require_back(site)

    def _require_ended(self, site: Site) -> JSON:
        now = site.now()
        if now.state not in {State.EXITED, State.DEAD}:
            raise NotReady(f"its container is {now.state} after SIG{self.signal}")
        return {"state": str(now.state), "exit_code": now.exit_code}

    def _require_mute(self, site: Site) -> JSON:
        try:
            site.ping(1.0)
        except NotReady as reason:
            return {"state": str(State.RUNNING), "ping": str(reason)}
        raise NotReady(
            f"it runs and answers: its main process, or the init before it, takes no notice of SIG{self.signal}"
        )

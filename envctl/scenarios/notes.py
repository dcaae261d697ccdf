"""What is found out during a run: what is in force, what probes said, what became of work; and why it ended early."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from envctl.scenarios.model import Role
from envctl.scenarios.verdict import Deed, Outcome, ScenarioVerdict, Tally, Wound, moment
from envctl.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.scenarios.answers import Answer
    from envctl.scenarios.history import History
    from envctl.scenarios.model import Probe, Scenario
    from envctl.scenarios.recovering import Recovering


class Stopped(Exception):
    """The run ends early; why stands in its notes."""


class Notes:
    """Shared by all threads of one run."""

    def __init__(self, scenario: Scenario, history: History) -> None:
        self.scenario, self.history = scenario, history
        self.stop = threading.Event()
        self.recovery: float | None = None
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._ended: tuple[Outcome, str] | None = None
        self._meant: set[str] = set()
        self._in_force: dict[str, tuple[str, float]] = {}
        self._wounds: list[Wound] = []
        self._intended: set[tuple[str, str, object]] = set()
        self._lifting: Deadline | None = None
        self._tallies: dict[tuple[str, Role], Tally] = {}
        self._row: dict[str, int] = {}
        self._deeds: list[Deed] = []

    @property
    def clock(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    @property
    def hurt(self) -> bool:
        """Whether anything was."""
        return bool(self._wounds)

    def intend(self, fault: str, service: str, seed: int) -> None:
        """A fault is about to be injected: it is this run's, however far it comes."""
        with self._lock:
            self._intended.add((fault, service, seed))

    def is_mine(self, fault: str, service: str, seed: object) -> bool:
        """Whether a fault is this run's."""
        with self._lock:
            return (fault, service, seed) in self._intended

    def end(self, outcome: Outcome, reason: str) -> None:
        """End the run early, for the first such reason; what follows from it is no reason."""
        with self._lock:
            if self._ended is None:
                self._ended = (outcome, reason)
            elif outcome is Outcome.NOT_RECOVERED and self._ended[0] is Outcome.ABORTED:
                # What could not be healed is worse than whatever ended the run.
                self._ended = (outcome, f"{reason}; {self._ended[1]}")
        self.stop.set()

    def broken_off(self, error: BaseException) -> None:
        """End the run because of an error that is nobody's answer; a signal is told by its name."""
        told = f"{type(error).__name__}: {error}".rstrip(": ")
        if isinstance(error, KeyboardInterrupt):
            name = str(error) or "SIGINT"
            told = "Ctrl-C (SIGINT)" if name == "SIGINT" else name
        self.end(Outcome.ABORTED, f"broken off by {told}")

    def require_going(self) -> None:
        """Return when the run goes on.

        Raises:
            Stopped: it does not.

        """
        if self.stop.is_set():
            raise Stopped

    @contextmanager
    def meant(self, place: str, recovering: Recovering) -> Iterator[None]:
        """A fault is in force in this block, or is about to be; after the last one `recovering` begins."""
        with self._lock:
            recovering.end()
            self._meant.add(place)
        try:
            yield
        finally:
            with self._lock:
                self._meant.discard(place)
                self._in_force.pop(place, None)
                if not self._meant and self._lifting is not None:
                    recovering.begin(self._lifting, tuple(dict.fromkeys(wound.service for wound in self._wounds)))

    def acting(self, place: str, what: str) -> None:
        """A fault takes effect from now on."""
        with self._lock:
            self._in_force[place] = (what, self.clock)

    def lifting(self) -> None:
        """A fault is taken away from now on."""
        with self._lock:
            self._lifting = Deadline(self.scenario.recovery.within)

    def wounded(self, place: str, fault: str, service: str, identity: str) -> None:
        """A fault has taken effect, as was seen."""
        with self._lock:
            _, began = self._in_force[place]
            self._wounds.append(Wound(fault, service, identity, began, self.clock))

    def healed(self, identity: str, problem: str = "") -> None:
        """It is over."""
        with self._lock:
            now = self.clock
            self._wounds = [
                replace(wound, ended=now, problem=problem) if wound.id == identity else wound for wound in self._wounds
            ]

    def hurting(self) -> tuple[str, ...]:
        """The faults in force, in words."""
        with self._lock:
            return self._hurting()

    def _hurting(self) -> tuple[str, ...]:
        return tuple(what for what, _ in self._in_force.values())

    def answered(self, probe: Probe, role: Role, answer: Answer, since: tuple[str, ...] = ()) -> None:
        """A probe did, which was asked when the faults `since` were in force; a rule may end the run for it."""
        with self._lock:
            # In one look: nothing is told of that began later.
            at, hurting = self.clock, tuple(dict.fromkeys([*since, *self._hurting()]))
            tolerated = probe.tolerate if role is Role.DURING else 0
            before = self._tallies.get((probe.name, role)) or Tally(probe.name, str(role), tolerated=tolerated)
            after = replace(before, asked=before.asked + 1, slowest=max(before.slowest, answer.seconds))
            if not answer.holds:
                after = replace(after, failed=before.failed + 1)
                if not before.failed:
                    after = replace(after, first_at=at, first_during=hurting, first_problem=answer.problem)
            self._tallies[probe.name, role] = after
            row = self._row[probe.name] = 0 if answer.holds else self._row.get(probe.name, 0) + 1
        facts = {"probe": probe.name, "role": str(role), "ms": round(answer.seconds * 1000), "during": hurting}
        if answer.holds:
            self.history.say("probe.held", **facts, value=answer.value)
        else:
            # That it still fails is in the history; who looks on has heard of it.
            tell = self.history.note if row > 1 else self.history.say
            tell("probe.failed", **facts, problem=answer.problem)
        for rule in self.scenario.rules:
            if role is Role.DURING and rule.probe == probe.name and row == rule.fails:
                times = f"{row} times in a row" if row > 1 else "once"
                self.end(Outcome.ABORTED, f"{probe.name} failed {times}, the last time: {answer.problem}")

    def worked(self, deed: Deed, *, aside: bool) -> None:
        """Work is over; what was done `aside`, before and after the steps, is told only where it failed."""
        with self._lock:
            if deed.problem or not aside:
                self._deeds.append(deed)

    def verdict(self, seed: int, origin: str) -> ScenarioVerdict:
        """What all this comes to."""
        with self._lock:
            tallies = sorted(self._tallies.values(), key=lambda tally: list(Role).index(Role(tally.role)))
            reasons = [*_broken(tallies), *(f"{d.work} failed: {d.problem}" for d in self._deeds if d.problem)]
            outcome = Outcome.BROKEN if reasons else Outcome.HELD
            if self._ended is not None:
                outcome, reason = self._ended
                reasons = [reason, *(other for other in reasons if other != reason)]
            return ScenarioVerdict(
                scenario=self.scenario.name,
                origin=origin,
                outcome=outcome,
                seed=seed,
                seconds=self.clock,
                wounds=tuple(self._wounds),
                tallies=tuple(tallies),
                deeds=tuple(self._deeds),
                recovery=self.recovery,
                recovery_within=self.scenario.recovery.within,
                reasons=tuple(reasons),
                history=self.history.file,
            )


def _broken(tallies: list[Tally]) -> Iterator[str]:
    for tally in tallies:
        if tally.holds:
            continue
        if tally.role == Role.DURING:
            allowed = f"{tally.tolerated} are allowed" if tally.tolerated else "none is allowed"
            yield (
                f"{tally.probe} failed {tally.failed} of {tally.asked} times, {allowed}; "
                f"first {moment(tally)}: {tally.first_problem}"
            )
        else:
            when = "before anything was hurt" if tally.role == Role.BEFORE else "after the recovery"
            yield f"{tally.probe} did not hold {when}: {tally.first_problem}"

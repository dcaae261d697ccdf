"""How a run ended, in words for people and as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Outcome(StrEnum):
    """How it ended."""

    HELD = "held"
    BROKEN = "broken"
    NOT_STEADY = "not steady before"
    ABORTED = "aborted"
    NOT_RECOVERED = "not recovered"


_MEANING = {
    Outcome.HELD: "everything that was claimed held",
    Outcome.BROKEN: "something that was claimed did not hold",
    Outcome.NOT_STEADY: "something was wrong before; nothing was hurt",
    Outcome.ABORTED: "it was ended early, and everything was healed",
    Outcome.NOT_RECOVERED: "something was not well again in time",
}


@dataclass(frozen=True, slots=True)
class Wound:
    """One fault: seconds from the run's start to when it began to act and to its end; `problem` where it was lost."""

    fault: str
    service: str
    id: str
    began: float
    ended: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """What one probe said in one role: how often it was asked, failed and may fail, its slowest answer in seconds; of
    the first failure the time, what was hurt then, and what was wrong.
    """

    probe: str
    role: str
    asked: int = 0
    failed: int = 0
    tolerated: int = 0
    slowest: float = 0.0
    first_at: float | None = None
    first_during: tuple[str, ...] = ()
    first_problem: str = ""

    @property
    def holds(self) -> bool:
        """Whether it failed no more than it may."""
        return self.failed <= self.tolerated


@dataclass(frozen=True, slots=True)
class Deed:
    """What became of work: its `result` in words, or its `problem`."""

    work: str
    seconds: float
    result: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ScenarioVerdict:
    """What was hurt, what the probes said, how long recovery took, and what that means. Times are in seconds."""

    scenario: str
    origin: str
    outcome: Outcome
    seed: int
    seconds: float
    wounds: tuple[Wound, ...]
    tallies: tuple[Tally, ...]
    deeds: tuple[Deed, ...]
    recovery: float | None
    recovery_within: float
    reasons: tuple[str, ...]
    history: Path

    @property
    def held(self) -> bool:
        """Whether everything did."""
        return self.outcome is Outcome.HELD

    def to_json(self) -> dict[str, Any]:
        """The same facts for `--json`."""
        return {**asdict(self), "outcome": str(self.outcome), "held": self.held, "history": str(self.history)}

    def __str__(self) -> str:
        head = f"{self.scenario} ({self.origin}): {self.outcome.upper()}, {_MEANING[self.outcome]}"
        rows = [
            *(("why", reason) for reason in self.reasons),
            *(("hurt", _wound(wound)) for wound in self.wounds),
            *((tally.role, _tally(tally)) for tally in self.tallies),
            *(("work", _deed(deed)) for deed in self.deeds),
        ]
        if self.recovery is not None:
            within = f"{self.recovery_within:g} s were allowed"
            rows.append(("recovered", f"{self.recovery:.1f} s after the last fault; {within}"))
        rows.append(("run", f"{self.seconds:.1f} s, seed {self.seed}"))
        rows.append(("history", f"{self.history}; `envctl chaos run --replay` with it does the same again"))
        return "\n".join([head, *_columns(rows)])


class BrokenOff(KeyboardInterrupt):
    """A run was interrupted, and has ended as any other: everything is healed, and here is its `verdict`."""

    def __init__(self, verdict: ScenarioVerdict) -> None:
        self.verdict = verdict
        super().__init__(str(verdict))


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Each with its heading, which is said once for those that follow one another."""
    lines, before = [], ""
    for heading, words in rows:
        lines.append(f"  {heading if heading != before else '':<10} {words}")
        before = heading
    return lines


def _wound(wound: Wound) -> str:
    lasted = wound.ended - wound.began
    words = f"{wound.service} by {wound.fault}, from {wound.began:.1f} s to {wound.ended:.1f} s ({lasted:.1f} s)"
    return words + (f"; lost: {wound.problem}" if wound.problem else "")


def _tally(tally: Tally) -> str:
    slowest = f"slowest answer {tally.slowest:.2f} s"
    if tally.role != "during":
        return f"{tally.probe}: " + (f"held, {slowest}" if tally.holds else f"failed: {tally.first_problem}")
    words = f"{tally.probe}: held {tally.asked - tally.failed} of {tally.asked} times, {slowest}"
    if not tally.failed:
        return words
    allowed = f"{tally.tolerated} allowed" if tally.tolerated else "none allowed"
    return f"{words}; {tally.failed} failed, {allowed}; first {moment(tally)}: {tally.first_problem}"


def moment(tally: Tally) -> str:
    """When a probe failed first, and what was hurt then."""
    during = f", during {' and '.join(tally.first_during)}" if tally.first_during else ", while nothing was in force"
    return f"at {tally.first_at or 0:.1f} s{during}"


def _deed(deed: Deed) -> str:
    how = f"failed: {deed.problem}" if deed.problem else f"done in {deed.seconds:.1f} s"
    return f"{deed.work}: {how}" + (f"; {deed.result}" if deed.result else "")

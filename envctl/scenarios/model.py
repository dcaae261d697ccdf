"""A scenario as its file says it: probes, steps, rules. Times are seconds; a `place` is where something stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envctl.config.validation import Place


DURATION = 300.0
"""Seconds that a run may take where its file does not say."""


class Role(StrEnum):
    """When a probe is asked."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


class Background(StrEnum):
    """What becomes of work in the background after the steps: it is waited for, or told to end."""

    FINISH = "finish"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `kind` is the key in the file (`sql`, `http` …), `what` its value, `given` the arguments of a
    function, `expect` what the answer must be, `timeout` how long it may take.
    """

    place: Place
    kind: str
    what: Any
    given: Mapping[str, Any] = field(default_factory=dict)
    expect: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 5.0
    max_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """A question with a name, and when it is asked; `tolerate` so many failures while something is hurt."""

    name: str
    question: Question
    roles: frozenset[Role] = frozenset({Role.BEFORE, Role.AFTER})
    every: float = 1.0
    tolerate: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """What must be so within some seconds; `probe` names it where it has a name."""

    question: Question
    within: float = 30.0
    probe: str = ""

    def __str__(self) -> str:
        return self.probe or self.question.kind


@dataclass(frozen=True, slots=True)
class Work:
    """A function or a command that does something."""

    place: Place
    python: str = ""
    command: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    within: float = 60.0

    def __str__(self) -> str:
        return self.python.rpartition(":")[2] or " ".join(self.command)


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `when` is what it waits for first."""

    place: Place
    when: Condition | None = None

    @property
    def inner(self) -> tuple[Step, ...]:
        """The steps in it."""
        return ()


@dataclass(frozen=True, slots=True)
class Hurt(Step):
    """A fault: for `lasts` seconds, or while the `inner` steps go on."""

    fault: str = ""
    service: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    lasts: float | None = None
    meanwhile: tuple[Step, ...] = ()

    @property
    def inner(self) -> tuple[Step, ...]:
        """What goes on while it is in force."""
        return self.meanwhile

    def __str__(self) -> str:
        return f"{self.fault} on {self.service}"


@dataclass(frozen=True, slots=True)
class Serial(Step):
    """Steps in a row, so many times; or `at_once`."""

    steps: tuple[Step, ...] = ()
    times: int = 1
    at_once: bool = False

    @property
    def inner(self) -> tuple[Step, ...]:
        """Its steps."""
        return self.steps


@dataclass(frozen=True, slots=True)
class Chance(Step):
    """Faults that the seed decides, each after a pause from `shortest` to `longest`."""

    faults: tuple[Step, ...] = ()
    count: int = 1
    shortest: float = 0.0
    longest: float = 0.0

    @property
    def inner(self) -> tuple[Step, ...]:
        """Those that may be taken."""
        return self.faults


@dataclass(frozen=True, slots=True)
class Wait(Step):
    """A pause."""

    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Until(Step):
    """Goes on when a condition is fulfilled."""

    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Labour(Step):
    """Work, in the foreground or in the background."""

    work: Work | None = None
    background: Background | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """So many failures of a probe in a row end the run."""

    probe: str
    fails: int = 1


@dataclass(frozen=True, slots=True)
class Recovery:
    """What must be well again, and how soon; None: what was hurt, and the probes that are asked after."""

    within: float = 60.0
    services: tuple[str, ...] | None = None
    probes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """All of it. `document` is what was read, `file` None where it came as a mapping, `digest` the document's."""

    name: str
    probes: Mapping[str, Probe]
    steps: Serial
    file: Path | None = None
    description: str = ""
    services: tuple[str, ...] = ()
    seed: int | None = None
    duration: float = DURATION
    prepare: tuple[Work, ...] = ()
    cleanup: tuple[Work, ...] = ()
    rules: tuple[Rule, ...] = ()
    recovery: Recovery = Recovery()
    document: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def folder(self) -> Path:
        """Where its paths start."""
        return self.file.parent if self.file else Path.cwd()

    def having(self, role: Role) -> tuple[Probe, ...]:
        """The probes with that role."""
        return tuple(probe for probe in self.probes.values() if role in probe.roles)

    def hurts(self) -> tuple[Hurt, ...]:
        """Every fault that it may inject."""
        return tuple(step for step in every_step(self.steps) if isinstance(step, Hurt))


def every_step(step: Step) -> Iterator[Step]:
    """The step, and all in it."""
    yield step
    for inner in step.inner:
        yield from every_step(inner)

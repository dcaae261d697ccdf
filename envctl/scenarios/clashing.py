"""Faults of a scenario that cannot be in force together, though its steps have them so whatever the clock says."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from envctl.scenarios.model import Hurt, Serial, Step, every_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envctl.config.validation import Place


@dataclass(frozen=True, slots=True)
class Hold:
    """What a fault of the scenario keeps to itself on its service: its claims, and whether nobody can talk to that."""

    claims: frozenset[str]
    silences: bool


def clashes(steps: Step, holds: Mapping[Place, Hold]) -> Iterator[tuple[Hurt, str]]:
    """Every fault that would meet another, with why; those whose place is not in `holds` are not looked at."""
    for first, second, ordered in _together(steps):
        known = first.service == second.service and {first.place, second.place} <= holds.keys()
        if known and (reason := _reason(first, second, holds, ordered=ordered)):
            yield second, reason


def _reason(first: Hurt, second: Hurt, holds: Mapping[Place, Hold], *, ordered: bool) -> str:
    one, other = holds[first.place], holds[second.place]
    where = f"{first} ({'.'.join(first.place)})"
    if both := sorted(one.claims & other.claims):
        return f"{where} is in force there at the same time, and holds {both[0]}; put them one after the other"
    if one.silences or (other.silences and not ordered):
        mute, heard = (first, second) if one.silences else (second, first)
        return f"{mute} keeps it from answering at the same time; have that in the `while` of {heard}"
    return ""


def _together(steps: Step) -> Iterator[tuple[Hurt, Hurt, bool]]:
    """Pairs that are in force at once, and whether the first of them is so before the second."""
    for step in every_step(steps):
        if isinstance(step, Serial) and step.at_once:
            for branch, other in combinations(step.steps, 2):
                yield from ((one, two, False) for one in _at_once(branch) for two in _at_once(other))
        if isinstance(step, Hurt):
            # One whose time is its own may be over before a later step begins.
            inner = step.meanwhile if step.lasts is None else step.meanwhile[:1]
            within = [every_step(one) if step.lasts is None else _at_once(one) for one in inner]
            yield from ((step, one, True) for some in within for one in some if isinstance(one, Hurt))


def _at_once(step: Step) -> Iterator[Hurt]:
    """The faults that a step begins with, and waits for nothing before."""
    if step.when is not None:
        return
    if isinstance(step, Hurt):
        yield step
    elif isinstance(step, Serial):
        for inner in step.steps if step.at_once else step.steps[:1]:
            yield from _at_once(inner)

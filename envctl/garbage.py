"""What belongs to the dead: decided from labels and state, never from a name; nothing is removed on a guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.engine import owner as owners

if TYPE_CHECKING:
    from envctl.state import Pins


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an environment may be removed, and the proof or the reason to keep it."""

    dead: bool
    reason: str


def judge(owner: str | None, pins: Pins | None, last_used: float | None, now: float) -> Verdict:
    """Whether an environment belongs to the dead.

    `owner` is its label, None when nothing of it is on the engine; `pins` its state on this machine (None when there
    is none); times are Unix seconds.
    """
    if owner is None:
        busy = pins is not None and pins.starting and not owners.provably_dead(pins.starting)
        reason = "an `up` is about to make it" if busy else "only its state is left: nothing of it is on the engine"
        return Verdict(dead=not busy, reason=reason)
    if owners.provably_dead(owner):
        return Verdict(dead=True, reason=f"its owner, process {owners.process_id(owner)}, is dead")
    # Once it was ready it is the user's: a later `up` that died did not make it.
    if pins is not None and pins.starting and not pins.ready and owners.provably_dead(pins.starting):
        return Verdict(dead=True, reason=f"the `up` that made it, process {owners.process_id(pins.starting)}, died")
    if pins is not None and pins.ttl is not None and last_used is not None:
        return _by_age(pins.ttl, now - last_used)
    process = owners.process_id(owner)
    made = f"its owner, process {process}, may be alive" if process else "a user made it; `envctl down` takes it down"
    return Verdict(dead=False, reason=made)


def _by_age(ttl: float, idle: float) -> Verdict:
    if idle > ttl:
        return Verdict(dead=True, reason=f"unused for {idle:.0f} s, its time to live is {ttl:.0f} s")
    return Verdict(dead=False, reason=f"its time to live has {ttl - idle:.0f} s left")

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


def judge(owner: str, pins: Pins | None, last_used: float | None, now: float) -> Verdict:
    """Whether an environment belongs to the dead.

    `owner` is its label; `pins` its state on this machine (None when there is none); times are Unix seconds.
    """
    if owners.provably_dead(owner):
        return Verdict(dead=True, reason=f"its owner, process {owners.process_id(owner)}, is dead")
    if pins is not None and pins.starting and owners.provably_dead(pins.starting):
        return Verdict(dead=True, reason=f"the `up` that made it, process {owners.process_id(pins.starting)}, died")
    if pins is not None and pins.ttl is not None and last_used is not None:
        idle = now - last_used
        if idle > pins.ttl:
            return Verdict(dead=True, reason=f"unused for {idle:.0f} s, its time to live is {pins.ttl:.0f} s")
        return Verdict(dead=False, reason=f"its time to live has {pins.ttl - idle:.0f} s left")
    if owners.process_id(owner) is not None:
        return Verdict(dead=False, reason=f"its owner, process {owners.process_id(owner)}, may be alive")
    return Verdict(dead=False, reason="a user made it; `envctl down` takes it down")

"""Garbage: only what provably belongs to the dead, decided from labels and state."""

from __future__ import annotations

import subprocess
import sys

import pytest

from envctl.engine import owner as owners
from envctl.garbage import judge
from envctl.state import Pins

NOW = 10_000.0


@pytest.fixture(scope="module")
def dead() -> str:
    """The owner label of a process that has ended."""
    code = "from envctl.engine import owner; print(owner.this_process())"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


ALIVE = "alive"
DEAD = "dead"
ELSEWHERE = "process:another-place:1:1"


@pytest.mark.parametrize(
    ("owner", "pins", "last_used", "gone", "reason"),
    [
        (owners.USER, None, None, False, "a user made it"),
        (owners.USER, Pins(), NOW, False, "a user made it"),
        ("", None, None, False, "a user made it"),
        ("an unknown form", None, None, False, "a user made it"),
        (DEAD, None, None, True, "its owner, process "),
        (DEAD, Pins(ttl=60), NOW, True, "its owner, process "),
        (ALIVE, Pins(), NOW, False, "may be alive"),
        (ELSEWHERE, None, None, False, "may be alive"),
        (owners.USER, Pins(starting=DEAD), NOW, True, "the `up` that made it, process "),
        (owners.USER, Pins(starting=DEAD, ready={"c": "t"}), NOW, False, "a user made it"),
        (owners.USER, Pins(starting=ALIVE), NOW, False, "a user made it"),
        (owners.USER, Pins(starting=ELSEWHERE), NOW, False, "a user made it"),
        (owners.USER, Pins(ttl=60), NOW - 61, True, "unused for 61 s, its time to live is 60 s"),
        (owners.USER, Pins(ttl=60), NOW - 10, False, "its time to live has 50 s left"),
        (owners.USER, Pins(ttl=60), None, False, "a user made it"),
        (owners.USER, Pins(), NOW - 1e6, False, "a user made it"),
        (ALIVE, Pins(ttl=60), NOW - 61, True, "unused for 61 s"),
    ],
)
def test_an_environment_goes_only_on_proof(
    dead: str, owner: str, pins: Pins | None, last_used: float | None, gone: bool, reason: str
) -> None:
    """Dead owner, dead first `up`, or time over; everything else stays, with the reason."""
    real = {ALIVE: owners.this_process(), DEAD: dead}
    if pins:
        pins = Pins(starting=real.get(pins.starting, pins.starting), ttl=pins.ttl, ready=pins.ready)
    verdict = judge(real.get(owner, owner), pins, last_used, NOW)

    assert verdict.dead is gone
    assert reason in verdict.reason

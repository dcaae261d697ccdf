"""Faults in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.chaos.injecting import Wish, inject
from envctl.cli import chaos_view, phrases
from envctl.faults.clock_skew import ClockSkew
from envctl.faults.fault import Fault, options
from envctl.faults.kill import Kill
from envctl.faults.kill_mid_transaction import KillMidTransaction
from envctl.faults.restart import Restart
from envctl.faults.slow_disk import SlowDisk
from tests.unit.chaos.toys import Scribble

if TYPE_CHECKING:
    from tests.unit.chaos.toys import ToyWard


class Blink(Scribble):
    """As Scribble, and over as soon as it has bitten."""

    momentary = True  # type: ignore[assignment]  # a property of its parent


@pytest.mark.parametrize(
    ("fault", "name", "metavar", "end"),
    [
        (KillMidTransaction, "after_rows", "N", "are written."),
        (KillMidTransaction, "restart", "yes|no", "[default: yes]"),
        (Kill, "restarted_by", "nobody|policy|envctl", "[default: nobody]"),
        (Restart, "grace", "TIME", "without it."),
        (SlowDisk, "latency", "DURATION", "[default: 100ms]"),
        (ClockSkew, "offset", "OFFSET", "[default: 1h]"),
    ],
)
def test_an_option_says_what_it_takes_and_what_holds_without_it(
    fault: type[Fault], name: str, metavar: str, end: str
) -> None:
    """As one would type it; nothing where the option has no value of its own."""
    option = next(option for option in options(fault) if option.name == name)
    assert chaos_view.metavar(option) == metavar
    assert chaos_view.described(option).endswith(end)


def test_until_ctrl_c_is_said_of_what_is_held_alone(ward: ToyWard) -> None:
    """Two hours are two hours."""
    with inject(ward, Scribble(), "redis", Wish(7200.0)) as injection:
        assert "for 2 h 0 min, seed" in chaos_view.injected(injection, "")


def test_what_is_over_at_once_is_not_said_to_be_in_force(ward: ToyWard) -> None:
    """It took effect."""
    with inject(ward, Blink(), "redis", Wish()) as injection:
        said = chaos_view.injected(injection, "")
    assert "took effect on redis, seed" in said
    assert "in force" not in said


def test_truth_is_yes_or_no() -> None:
    """Not Python's words."""
    assert chaos_view.facts({"restarted": False, "in_time": True}) == "\n  restarted: no\n  in_time: yes"


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(350, "0.35 s"), (12_300, "12.3 s"), (125_000, "2 min 5 s"), (86_340_000, "23 h 59 min")],
)
def test_times_have_the_unit_that_suits_them(milliseconds: int, words: str) -> None:
    """Few digits each."""
    assert phrases.duration(milliseconds) == words

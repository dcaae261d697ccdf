"""Faults in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from envctl.chaos.injecting import Wish, inject
from envctl.chaos.listing import Row
from envctl.cli import chaos_view, evidence, phrases
from envctl.faults.clock_skew import ClockSkew
from envctl.faults.fault import Fault, options
from envctl.faults.kill import Kill
from envctl.faults.kill_mid_transaction import KillMidTransaction
from envctl.faults.restart import Restart
from envctl.faults.slow_disk import SlowDisk
from envctl.journal import Expiry, Stage
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
    assert evidence.facts({"restarted": False, "in_time": True}) == "\n  restarted: no\n  in_time: yes"


def test_what_was_measured_is_said_in_words() -> None:
    """Packets, times and rates, as a reader takes them in; and nothing of what there is nothing of."""
    before = {"sent": 5, "received": 5, "twice": 0, "late": 0, "broken": 0, "ms": [0.03, 0.04, 0.1]}
    during = {"sent": 5, "received": 4, "twice": 2, "late": 1, "broken": 0, "ms": [50.1, 50.3, 52.0]}
    shaped = {"sent": 19, "received": 19, "rate": 999_999}
    measured = {"out": {"before": before, "during": during}, "in": shaped}
    assert evidence.facts({"measured": measured, "left": [], "problem": "", "groups": {"cg": 2}, "cut": 0}) == (
        "\n  measured:"
        "\n    out:"
        "\n      before: 5 of 5 packets came, in 0.04 ms (0.03 to 0.1)"
        "\n      during: 4 of 5 packets came, in 50.3 ms (50.1 to 52), 2 twice, 1 overtaken"
        "\n    in: 19 of 19 packets came, at 1 Mbit/s"
        "\n  groups: cg 2"
        "\n  cut: 0"
    )


def test_what_was_lost_before_its_time_is_told_until_that_is_over(ward: ToyWard) -> None:
    """Who detached it may still count on it."""
    with inject(ward, Scribble(), "redis", Wish(30.0)) as injection:
        entry = ward.journal.find(injection.id)
    ward.journal.close(entry, Stage.LOST, "its container was started anew")
    said = chaos_view.lost(ward.journal.lost())
    assert f"lost, though their time is not over:\n  {entry.id} on redis: its container was started anew" in said
    ward.journal.close(replace(entry, expires=Expiry.after(0)), Stage.LOST, "as before")
    assert chaos_view.lost(ward.journal.lost()) == ""


def test_words_that_all_services_have_are_told_once() -> None:
    """Else each service with its own."""
    assert chaos_view.by_service({"redis": ("tc", "nfqueue"), "kafka": ("tc", "nfqueue")}) == "  [tc, nfqueue]"
    assert chaos_view.by_service({"redis": ("a",), "kafka": ("b",), "minio": ()}) == "  [redis: a; kafka: b]"
    assert chaos_view.by_service({"minio": ("a",), "kafka": ()}) == "  [minio: a]"


def test_what_several_services_lack_for_the_same_reason_is_told_once() -> None:
    """A list of a hundred faults by services that cannot be is read by nobody."""
    rows = [
        Row("lock", "kafka", possible=False, reason="kafka has no way to do this; use pause", summary=""),
        Row("lock", "redis", possible=False, reason="redis has no way to do this; use pause", summary=""),
        Row("lock", "postgres", possible=True, reason="", summary=""),
    ]
    assert "  lock on kafka, redis: has no way to do this; use pause\n" in chaos_view.matrix(rows)


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(350, "0.35 s"), (12_300, "12.3 s"), (125_000, "2 min 5 s"), (86_340_000, "23 h 59 min")],
)
def test_times_have_the_unit_that_suits_them(milliseconds: int, words: str) -> None:
    """Few digits each."""
    assert phrases.duration(milliseconds) == words

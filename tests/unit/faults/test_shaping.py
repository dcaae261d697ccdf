"""Rates, and what the kernel's shapers are told of them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from envctl.engine.operations import probing
from envctl.faults.network.latency import Latency
from envctl.faults.network.netem import leaf
from envctl.faults.network.throttle import Throttle
from envctl.faults.values import rate
from envctl.site import Dice, Site


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("1mbit", 1_000_000),
        ("2.5 Gbit", 2_500_000_000),
        ("500kbit/s", 500_000),
        ("9000bits", 9_000),
        ("100KB", 800_000),
        ("1.5MB/s", 12_000_000),
        ("1000B", 8_000),
        ("8000", 8_000),
        (1e6, 1_000_000),
        (100_000_000_000, 100_000_000_000),
    ],
)
def test_a_rate_is_told_in_bits_or_bytes(text: object, bits: int) -> None:
    """By powers of 1000; a mere number is bits a second."""
    assert rate(text) == bits


@pytest.mark.parametrize("value", [0, "0", "7kbit", "101gbit", -1, "100kb", "1mbps", "fast", "", True, None, "1e400"])
def test_what_is_no_rate_or_an_absurd_one_is_told(value: object) -> None:
    """With what is wanted: bits or bytes, and the bounds."""
    with pytest.raises(ValueError, match=r"1mbit .* 100KB .* 8kbit to 100gbit"):
        rate(value)


@pytest.mark.parametrize("wanted", [8_000, 100_000, 1_000_000, 1_000_000_000, 100_000_000_000])
def test_the_largest_packet_passes_at_any_rate_and_the_queue_is_bounded(wanted: int) -> None:
    """Both back ends get the same bucket."""
    throttle = Throttle(rate=wanted)
    [_, _, bits, _, burst, _, limit] = throttle.how("tc", NOWHERE)["leaf"]
    program = throttle.how("nfqueue", NOWHERE)["packets"]
    assert int(bits.removesuffix("bit")) == pytest.approx(wanted * 1514 / 1448, rel=0.001)
    assert 8 * program["rate"] == pytest.approx(wanted * 1500 / 1448, rel=0.01)
    assert int(burst.removesuffix("b")) == program["burst"] >= 1600
    waits = (int(limit.removesuffix("b")) - program["burst"]) * 8 / wanted
    assert waits == pytest.approx(max(0.4, 16384 * 8 / wanted), rel=0.01)


@pytest.mark.parametrize("late", [0.0, 0.003])
def test_a_pace_is_told_also_where_many_were_taken_late(late: float) -> None:
    """Only the first and the last of a row that was taken in time count."""
    even = [0.01 * place for place in range(30)]
    came = [time + (late if place % 5 else 0) for place, time in enumerate(even)]
    assert probing._pace(came) == pytest.approx(100, rel=0.001)


WORDS = {
    "delay 50000us": {"delay": 50_000},
    "delay 50000us 10000us 25% distribution pareto rate 100gbit seed 7": {
        "delay": 50_000,
        "jitter": 10_000,
        "delay-correlation": 25.0,
        "distribution": "pareto",
        "seed": 7,
    },
    "delay 1000us 1000us rate 100gbit": {"delay": 1000, "jitter": 1000, "distribution": "uniform"},
    "loss random 0.5% 30%": {"loss": 5_000, "loss-correlation": 30.0},
    "duplicate 10% corrupt 0.01%": {"duplicate": 100_000, "corrupt": 100},
    "delay 10000us reorder 75%": {"reorder": 250_000, "hold": 10_000},
}


@pytest.mark.parametrize(("words", "packets"), WORDS.items())
def test_netem_is_told_in_its_own_words(words: str, packets: dict[str, object]) -> None:
    """What the program is told in its own."""
    assert leaf(packets) == ["netem", "limit", "10000", *words.split()]


@pytest.mark.parametrize("words", WORDS)
def test_tc_takes_these_words(words: str) -> None:
    """It reads them before it asks the kernel, which may refuse; there is no such device."""
    if not (tc := shutil.which("tc", path="/usr/sbin:/sbin:/usr/bin")):
        pytest.skip("no tc here")
    command = [tc, "qdisc", "add", "dev", "envctl-none", "root", "netem", *words.split()]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert 'Cannot find device "envctl-none"' in said or "seed" in words, said


def test_latency_is_the_same_wish_to_both_back_ends() -> None:
    """The seed's too."""
    latency = Latency(delay=0.05, jitter=0.01)
    program = latency.how("nfqueue", NOWHERE)["packets"]
    assert latency.how("netem", NOWHERE)["leaf"] == leaf(program)
    assert str(program["seed"]) in leaf(program)


NOWHERE = Site(*[None] * 6, dice=Dice(7))  # type: ignore[arg-type]
"""All that is asked of it is chance."""

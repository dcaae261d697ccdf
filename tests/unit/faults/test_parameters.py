"""Parameters of the faults of processes and resources, as they are read."""

from __future__ import annotations

import pytest

from envctl.faults.cpu_starve import _bandwidth, share
from envctl.faults.memory_pressure import MIB, allowed, leave
from envctl.faults.signals import NUMBERS, signal
from envctl.faults.values import listing


@pytest.mark.parametrize("value", ["KILL", "SIGKILL", "sigkill", " kill ", "9", 9])
def test_a_signal_has_many_spellings(value: object) -> None:
    """With and without SIG, in any case, by its number."""
    assert signal(value) == "KILL"


def test_signals_have_linuxs_numbers() -> None:
    """Whatever this machine's system is."""
    assert {"HUP": 1, "KILL": 9, "USR1": 10, "TERM": 15, "CONT": 18, "STOP": 19, "SYS": 31}.items() <= NUMBERS.items()


@pytest.mark.parametrize("value", ["", "HURT", "0", "32", -9, True, None])
def test_what_is_no_signal_is_told(value: object) -> None:
    """With those that there are."""
    with pytest.raises(ValueError, match="HUP, INT"):
        signal(value)


@pytest.mark.parametrize("value", [0, 0.5, "0%", "200%", 101, -1, "half"])
def test_what_is_no_share_is_told(value: object) -> None:
    """The kernel takes no quota below a hundredth of its period."""
    with pytest.raises(ValueError, match="1 to 100"):
        share(value)


@pytest.mark.parametrize("value", [0, "1kB", -MIB, "much"])
def test_too_little_memory_is_told(value: object) -> None:
    """Below 1 MiB nothing can be measured."""
    with pytest.raises(ValueError, match="1MiB"):
        leave(value)


@pytest.mark.parametrize(
    ("value", "read"), [("80, 81", "80, 81"), (80, "80"), ([80, "81"], "80,81"), (["host"], "host")]
)
def test_several_may_be_given_as_text_or_as_a_list(value: object, read: str) -> None:
    """A port is a number, in Python and in YAML."""
    assert listing(value) == read


@pytest.mark.parametrize("value", [None, 1.5, True, {"host": 1}, [["host"]]])
def test_what_is_no_list_of_names_or_numbers_is_told(value: object) -> None:
    """With what is wanted."""
    with pytest.raises(ValueError, match="commas"):
        listing(value)


def test_either_version_says_how_much_processor_there_is() -> None:
    """Period and quota in microseconds; no quota is none."""
    assert _bandwidth({"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1"}) == (100_000, None)
    assert _bandwidth({"cpu.cfs_period_us": "50000", "cpu.cfs_quota_us": "25000"}) == (50_000, 25_000)
    assert _bandwidth({"cpu.max": "max 100000"}) == (100_000, None)
    assert _bandwidth({"cpu.max": "5000 100000"}) == (100_000, 5_000)


def test_the_lowest_limit_counts() -> None:
    """Of version 2's two; none is none."""
    assert allowed({"memory.max": "max", "memory.high": "max"}) is None
    assert allowed({"memory.max": "200", "memory.high": "100"}) == 100
    assert allowed({"memory.limit_in_bytes": "300", "memory.swappiness": "60"}) == 300

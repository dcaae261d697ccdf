"""Random words: the same for ever, whoever makes them, and spread as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envctl.seeding import philox

STREAM = philox.key(1, "orders", "total", 1)

KEY = ["94a691890f9236c8", "6b2261bdebe3efc0"]
FIRST = ["76fadf4964777837", "fbae4fd9a6559d25", "c2e07c48c374ec78", "a23e5fd96a14befb", "167cee8215c26cb0"]
FAR = ["4d905aa5453610cf", "c054d7fd29d6ade4"]
BELOW = [464, 983, 761, 633, 87, 820]
SKEWED = [100, 950, 441, 254, 0, 551]
WEIGHTED = [2, 2, 2, 2, 0, 2]
DEALT = [0, 0, 1, 0, 0, 1]
SCATTERED = [711, 384, 57, 730, 403, 76]


def test_the_words_of_a_stream_are_those_of_ever() -> None:
    """Frozen: whatever numpy changes, datasets that people have seeded must not change with it."""
    assert [f"{word:016x}" for word in STREAM] == KEY
    assert [f"{word:016x}" for word in philox.words(STREAM, 0, 5)] == FIRST
    assert [f"{word:016x}" for word in philox.words(STREAM, 10**12 + 1, 10**12 + 3)] == FAR


def test_another_address_is_another_stream() -> None:
    """Nothing of the address is lost, also where its parts lie next to each other."""
    addresses = [(1, "ab", "c"), (1, "a", "bc"), (2, "ab", "c"), (1, "ab", "c", 1)]
    assert len({philox.key(*address).tobytes() for address in addresses}) == len(addresses)


@given(start=st.integers(0, 10**9), length=st.integers(0, 40), before=st.integers(0, 9))
def test_a_part_of_a_stream_alone_is_that_part_of_the_whole(start: int, length: int, before: int) -> None:
    """Also where it begins within one of Philox's counters of four words."""
    whole = philox.words(STREAM, max(0, start - before), start + length)
    assert philox.words(STREAM, start, start + length).tolist() == whole[min(before, start) :].tolist()


def test_numbers_are_frozen_too() -> None:
    """The transforms are our own integer arithmetic: the same on every machine."""
    random = philox.words(STREAM, 0, 6)
    assert philox.below(random, 1000).tolist() == BELOW
    assert philox.below(random, 1000, skew=3).tolist() == SKEWED
    assert philox.weighted(random, [1, 2, 7]).tolist() == WEIGHTED
    assert philox.dealt(STREAM, 3, 9, [2, 1]).tolist() == DEALT
    assert philox.scattered(np.arange(6), 1000, 4711).tolist() == SCATTERED


@given(limit=st.integers(1, 2**31), skew=st.integers(1, 6))
def test_numbers_stay_below_their_limit(limit: int, skew: int) -> None:
    """Also for the largest and the smallest word."""
    extremes = np.array([0, 2**64 - 1, 2**63], np.uint64)
    assert all(0 <= number < limit for number in philox.below(extremes, limit, skew).tolist())


@pytest.mark.parametrize("skew", [1, 2, 3])
def test_skew_gives_the_low_numbers_their_share(skew: int) -> None:
    """The lowest tenth of the range has the share 0.1 ** (1 / skew) of the draws."""
    drawn = philox.below(philox.words(STREAM, 0, 100_000), 10_000, skew)
    assert math.isclose((drawn < 1000).mean(), 0.1 ** (1 / skew), abs_tol=0.01)


@given(weights=st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any), start=st.integers(0, 500))
def test_each_deck_has_exactly_its_cards(weights: list[int], start: int) -> None:
    """And a card is the same whether its deck is dealt from the beginning or not."""
    deck = sum(weights)
    dealt = philox.dealt(STREAM, 0, 3 * deck, weights)
    for at in range(3):
        assert np.bincount(dealt[at * deck : (at + 1) * deck], minlength=len(weights)).tolist() == weights
    assert philox.dealt(STREAM, start, start + 7, weights).tolist() == (
        philox.dealt(STREAM, 0, start + 7, weights)[start:].tolist()
    )


@given(limit=st.integers(1, 2000), salt=st.integers(0, 2**63 - 1))
def test_scattering_loses_no_number(limit: int, salt: int) -> None:
    """A bijection, for any limit."""
    assert sorted(philox.scattered(np.arange(limit), limit, salt).tolist()) == list(range(limit))

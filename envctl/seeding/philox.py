"""Random words as functions of (key, row): numpy's Philox counters, and integer transforms of our own.

Philox is counter-based: any word is had without those before it, so any chunk is made alone, on any worker, in any
order. Only the raw 64-bit words are used: numpy promises their stream for ever, but not those of its distributions
(NEP 19). All transforms are integer arithmetic, the same on every machine.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Integers = NDArray[np.int64]

_LANES = 4
"""Words of one Philox4x64 counter."""

_HALF = np.uint64(32)


def key(*address: object) -> Words:
    """The 128-bit key of a stream: a hash of its address, such as (seed, relation, column, number of the draw)."""
    digest = hashlib.blake2b("\0".join(map(str, address)).encode(), digest_size=16).digest()
    return np.frombuffer(digest, np.dtype("<u8")).astype(np.uint64)


def words(stream: Words, start: int, stop: int) -> Words:
    """The words of the rows from `start` up to `stop`, 64 random bits each. 3 ns a word (measured, one core)."""
    skip = start % _LANES
    raw: Words = np.random.Philox(key=stream, counter=start // _LANES).random_raw(stop - start + skip)
    return raw[skip:]


def below(random: Words, limit: int, skew: int = 1) -> Integers:
    """Numbers from 0 up to `limit` (at most 2**31), by multiplying and shifting.

    With `skew` k the fraction x of the range has the share x**(1/k) of the draws, the low numbers the most: k=1 is
    uniform; with k=3 the first percent gets a fifth. A power of a uniform number, in 32-bit fixed point.
    """
    uniform = random >> _HALF
    power = uniform
    for _ in range(skew - 1):
        power = (power * uniform) >> _HALF
    return ((power * np.uint64(limit)) >> _HALF).astype(np.int64)


def weighted(random: Words, weights: Sequence[int]) -> Integers:
    """Indices into `weights`, each as often as its weight says."""
    bounds = np.cumsum(np.asarray(weights, np.uint64))
    drawn = below(random, int(bounds[-1]))
    return np.searchsorted(bounds, drawn.astype(np.uint64), side="right").astype(np.int64)


def dealt(stream: Words, start: int, stop: int, weights: Sequence[int]) -> Integers:
    """Indices into `weights` for the rows from `start` up to `stop`, dealt from decks: in each run of sum(weights)
    rows (from row 0 on) every index comes exactly as often as its weight says.
    """
    deck = np.repeat(np.arange(len(weights), dtype=np.int64), weights)
    first, last = start // len(deck), -(-stop // len(deck))
    order = words(stream, first * len(deck), last * len(deck)).reshape(last - first, len(deck)).argsort(kind="stable")
    return deck[order].ravel()[start - first * len(deck) : stop - first * len(deck)]


def scattered(rows: Integers, limit: int, salt: int) -> Integers:
    """A bijection of the numbers below `limit` (at most 2**31): neighbours land far apart."""
    step = _coprime(limit, salt)
    return ((rows.astype(np.uint64) * np.uint64(step) + np.uint64(salt % limit)) % np.uint64(limit)).astype(np.int64)


def _coprime(limit: int, salt: int) -> int:
    """A factor near the golden section of `limit`, without a common divisor."""
    from math import gcd

    step = max(1, limit * 618_034 // 1_000_000 + salt % 97) % max(limit, 2) or 1
    while gcd(step, limit) != 1:
        step += 1
    return step

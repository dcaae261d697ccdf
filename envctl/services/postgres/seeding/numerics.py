"""Whole and decimal numbers as PostgreSQL's binary `numeric`: digits of base 10 000, the same number in every row.

The server strips zeros in front and behind, so all rows may have as many digits as the longest needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BASE = 10_000
_DIGITS = 4
_NEGATIVE = 0x4000
LARGEST_SCALE = 16
"""Digits behind the point that are encoded here: 10**16 is the last power of the base below 2**64."""


def fields(units: NDArray[np.int64], scale: int) -> list[tuple[str, Any]]:
    """The field of `numeric` for units of 10**-scale: length, digit count, weight, sign, scale, digits."""
    absolute = np.abs(units).view(np.uint64)  # the lowest int64 is its own negative, and right as unsigned
    whole, fraction = np.divmod(absolute, np.uint64(10**scale))
    behind = -(-scale // _DIGITS)
    fraction *= np.uint64(10 ** (behind * _DIGITS - scale))
    before = _count(int(whole.max()) if len(whole) else 0)
    digits = _digits(whole, before) + _digits(fraction, behind)
    head: list[tuple[str, Any]] = [
        (">i4", 8 + 2 * len(digits)),
        (">i2", len(digits)),
        (">i2", before - 1),
        (">u2", np.where(units < 0, _NEGATIVE, 0)),
        (">u2", scale),
    ]
    return head + [(">u2", digit) for digit in digits]


def _count(largest: int) -> int:
    """Digits of base 10 000, at least one."""
    return max(1, -(-len(str(largest)) // _DIGITS))


def _digits(numbers: NDArray[np.uint64], count: int) -> list[NDArray[np.uint64]]:
    found = []
    for _ in range(count):
        numbers, digit = np.divmod(numbers, np.uint64(_BASE))
        found.append(digit)
    return found[::-1]

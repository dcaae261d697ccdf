"""The factor of a dataset's size."""

from __future__ import annotations

import math

from envctl.errors import UsageError

LARGEST = 1_000_000.0
"""As the schema of the configuration has it."""


def checked(scale: object) -> float:
    """The scale as a float.

    Raises:
        UsageError: it is no number above 0 and up to a million.

    """
    if isinstance(scale, int | float) and not isinstance(scale, bool) and 0 < scale <= LARGEST:
        return float(scale)
    wanted = "a scale above 0 and up to a million, such as 0.01 or 2"
    raise UsageError(wanted, repr(scale), "give a number; 1 is the dataset as it is")


def below(scale: float) -> float:
    """The scale with two digits, rounded down: what is advised then fits."""
    if scale <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(scale)) - 1)
    return math.floor(scale / step) * step

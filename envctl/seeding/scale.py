"""The factor of a dataset's size."""

from __future__ import annotations

import math

from envctl.errors import UsageError


def checked(scale: object) -> float:
    """The scale as a float.

    Raises:
        UsageError: it is no finite number above 0.

    """
    if isinstance(scale, int | float) and not isinstance(scale, bool) and math.isfinite(scale) and scale > 0:
        return float(scale)
    raise UsageError("a scale above 0, such as 0.01 or 2", repr(scale), "give a number; 1 is the dataset as it is")


def below(scale: float) -> float:
    """The scale with two digits, rounded down: what is advised then fits."""
    if scale <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(scale)) - 1)
    return math.floor(scale / step) * step

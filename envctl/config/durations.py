"""Durations as people write them."""

from __future__ import annotations

import re

from envctl.errors import UsageError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PLAIN = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_PARTS = re.compile(rf"(?:{_PART.pattern})+")


def seconds(value: float | str) -> float:
    """Seconds of `90`, `"90"`, `"90s"`, `"50ms"`, `"2h"` or `"1h30m"`. Zero is a duration; a sign is not.

    Raises:
        UsageError: the text is no duration, or the number is negative.

    """
    if isinstance(value, str):
        text = value.strip()
        if _PLAIN.fullmatch(text):
            return float(text)
        if _PARTS.fullmatch(text):
            return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    elif value >= 0:
        return float(value)
    raise UsageError(
        "a duration: seconds such as 90, or with a unit such as 50ms, 90s, 2h",
        repr(value),
        "units are ms, s, m, h and d, and can follow one another: 1h30m",
    )

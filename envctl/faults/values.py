"""How parameters are read: from text of the command line and of YAML, or from a Python caller's own values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from envctl.config.durations import seconds
from envctl.errors import UsageError

Kind = Callable[[Any], Any]
"""Reads one value; raises UsageError, or ValueError with what it wants."""

_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([kmgt]?i?)b?", re.IGNORECASE)
_RATE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(?:([kKmMgG]?)bits?|([kKmMgG]?)B)(?:/s)?")
_RATES = (8_000, 100_000_000_000)
"""Bits a second, the least and the most that make sense."""
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_PERCENT = 100.0


def text(value: Any) -> str:  # noqa: ANN401 - what a caller gave
    """Any text."""
    if not isinstance(value, str):
        raise ValueError("a text")  # noqa: TRY004 - the form that a Kind promises
    return value


def flag(value: Any) -> bool:  # noqa: ANN401
    """`true` or `false`, as YAML and variables write them."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUTH:
        return _TRUTH[value.lower()]
    raise ValueError("true or false")


def count(value: Any) -> int:  # noqa: ANN401
    """A whole number, 0 or more."""
    number = _number(value, "a whole number, 0 or more")
    if number < 0 or number != int(number):
        raise ValueError("a whole number, 0 or more")
    return int(number)


def duration(value: Any) -> float:  # noqa: ANN401
    """Seconds, or a text with a unit: `50ms`, `2s`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value != value or value == float("inf"):  # noqa: PLR0124 - NaN
        raise ValueError("a duration such as 2 or '50ms'")
    return seconds(value)


def size(value: Any) -> int:  # noqa: ANN401
    """Bytes, or a text with a unit: `10MB` (10^6), `10MiB` (2^20)."""
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip())
        if found is None:
            raise ValueError("a size such as 10MB or 64MiB")
        unit = found[2].lower()
        return int(float(found[1]) * (1024 if unit.endswith("i") else 1000) ** _POWERS[unit.removesuffix("i")])
    return count(value)


def rate(value: Any) -> int:  # noqa: ANN401
    """Bits a second, or a text with a unit: `1mbit` (10^6 bits), `100KB` (10^5 bytes)."""
    wanted = "a rate such as 1mbit (bits) or 100KB (bytes a second), 8kbit to 100gbit"
    if isinstance(value, str) and (found := _RATE.fullmatch(value.strip())):
        bits = found[3] is None
        value = float(found[1]) * 1000 ** _POWERS[(found[2] if bits else found[3]).lower()] * (1 if bits else 8)
    number = _number(value, wanted)
    if not _RATES[0] <= number <= _RATES[1]:
        raise ValueError(wanted)
    return int(number)


def percent(value: Any) -> float:  # noqa: ANN401
    """0 to 100, with or without a percent sign."""
    number = _number(value.rstrip("% ") if isinstance(value, str) else value, "a percentage, 0 to 100")
    if not 0 <= number <= _PERCENT:
        raise ValueError("a percentage, 0 to 100")
    return number


def listing(value: Any) -> str:  # noqa: ANN401
    """Words or numbers, separated by commas; a caller and YAML may also give one number, or several of either."""
    several = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(one, bool) or not isinstance(one, str | int) for one in several):
        raise ValueError("a text, with commas between several")
    return ",".join(map(str, several))


def words(value: str) -> list[str]:
    """Names that are separated by commas."""
    return [word.strip() for word in value.split(",") if word.strip()]


def ports(value: str) -> tuple[list[int], str]:
    """Port numbers that are separated by commas, and no problem; or none, and what was wanted."""
    found = [int(word) if word.isdecimal() else 0 for word in words(value)]
    if all(0 < port < 1 << 16 for port in found):
        return found, ""
    return [], "port numbers, 1 to 65535, separated by commas"


def _number(value: Any, wanted: str) -> float:  # noqa: ANN401
    if isinstance(value, bool):
        raise ValueError(wanted)  # noqa: TRY004 - the form that a Kind promises
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(wanted) from error
    if number != number or abs(number) == float("inf"):  # noqa: PLR0124 - NaN
        raise ValueError(wanted)
    return number


def read(kind: Kind, value: Any) -> tuple[Any, str]:  # noqa: ANN401
    """The value and no problem, or no value and what was wanted."""
    try:
        return kind(value), ""
    except UsageError as error:
        return None, error.wanted
    except ValueError as error:
        return None, str(error)

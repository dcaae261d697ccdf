"""What was answered, and whether that is what was expected."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST_SHOWN = 120

_COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "at_least": (operator.ge, "at least"),
    "at_most": (operator.le, "at most"),
    "more_than": (operator.gt, "more than"),
    "less_than": (operator.lt, "less than"),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A value, and what its kind tells besides: `status`, `exit_code`, `exists`, `sha256`."""

    value: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """One look of a probe: `problem` is empty when it held; `seconds` is how long it took."""

    seconds: float
    value: Any = None
    problem: str = ""

    @property
    def holds(self) -> bool:
        """Whether it did."""
        return not self.problem


DEFAULTS: Mapping[str, Mapping[str, Any]] = {"command": {"exit_code": 0}, "object": {"exists": True}}


def problem(kind: str, reply: Reply, expect: Mapping[str, Any]) -> str:
    """What is not as expected, in words; empty when all is."""
    wanted = {**DEFAULTS.get(kind, {}), **expect}
    for name, fact in reply.facts.items():
        if name in wanted and fact != wanted[name]:
            return _fact(name, fact, wanted[name]) + _tail(reply.value)
    if kind == "http" and "status" not in wanted and not 200 <= reply.facts["status"] < 300:  # noqa: PLR2004 - HTTP's
        return f"status {reply.facts['status']}" + _tail(reply.value)
    if kind == "python" and reply.value is False and "equals" not in wanted:
        return "it said False"
    return _value(reply.value, wanted)


def _fact(name: str, found: object, wanted: object) -> str:
    if name == "exists":
        return "it is there" if found else "it is not there"
    return f"{name.replace('_', ' ')} {found} instead of {wanted}"


def _value(value: Any, wanted: Mapping[str, Any]) -> str:  # noqa: ANN401
    if "equals" in wanted and not _equal(value, wanted["equals"], wanted.get("tolerance", 0)):
        about = f"{wanted['equals']!r}" + (f" ± {wanted['tolerance']:g}" if "tolerance" in wanted else "")
        return f"{shown(value)} instead of {about}"
    for key, (compare, words) in _COMPARISONS.items():
        if key in wanted:
            number = _number(value)
            if number is None or not compare(number, wanted[key]):
                return f"{shown(value)} instead of {words} {wanted[key]:g}"
    if "matches" in wanted and not re.search(wanted["matches"], text(value)):
        return f"{shown(value)} does not match {wanted['matches']!r}"
    return ""


def _equal(value: Any, wanted: Any, tolerance: float) -> bool:  # noqa: ANN401
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        return bool(value == wanted) or (not isinstance(wanted, bool) and text(value) == wanted)
    number = _number(value)
    return number is not None and abs(number - wanted) <= tolerance


def _number(value: Any) -> float | None:  # noqa: ANN401
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number


def text(value: Any) -> str:  # noqa: ANN401
    """An answer as text; bytes of a server as UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def shown(value: Any) -> str:  # noqa: ANN401
    """An answer as a line of a report: short."""
    line = " ".join(text(value).split()) if value is not None else "nothing"
    return line if len(line) <= LONGEST_SHOWN else line[: LONGEST_SHOWN - 1] + "…"


def _tail(value: Any) -> str:  # noqa: ANN401
    told = shown(value) if value is not None else ""
    return f": {told}" if told else ""

"""Functions of the language that make values of others: times, decimals, texts, JSON."""

# ruff: noqa: D402 - the first lines say how the functions are called in datasets

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np

from envctl.seeding import arrow, texts
from envctl.seeding.column import Column, Kind
from envctl.seeding.expressions import ExpressionError
from envctl.seeding.operators import both, number

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from envctl.seeding.expressions import Arguments, Evaluator
    from envctl.seeding.world import Chunk

UNITS_US = {
    "milliseconds": 1000,
    "seconds": 10**6,
    "minutes": 60 * 10**6,
    "hours": 3600 * 10**6,
    "days": 86400 * 10**6,
}
_MOST_DIGITS = 18
"""Decimals behind the point: all that a 64-bit number has room for."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def time(call: Arguments) -> Evaluator:
    """time("2025-01-01T12:00:00Z"): always this time."""
    value = instant(call, "time")
    return lambda chunk: Column(Kind.TIME, np.full(len(chunk), value, np.int64))


def millis(call: Arguments) -> Evaluator:
    """millis(t): whole milliseconds since 1970."""
    return _divided(call, Kind.INT, 1000)


def date(call: Arguments) -> Evaluator:
    """date(t): the day in UTC."""
    return _divided(call, Kind.DATE, UNITS_US["days"])


def _divided(call: Arguments, kind: Kind, unit: int) -> Evaluator:
    """Times in whole units."""
    value = call.value("time")

    def make(chunk: Chunk) -> Column:
        times = of_kind(value(chunk), Kind.TIME, call.name)
        return Column(kind, times.numbers // unit, times.valid)

    return make


def duration(unit: str) -> Callable[[Arguments], Evaluator]:
    """The function of one unit of time."""

    def make(call: Arguments) -> Evaluator:
        value, factor = call.value("count"), UNITS_US[unit]

        def evaluate(chunk: Chunk) -> Column:
            found = value(chunk)
            return Column(Kind.INT, number(found) * factor, found.valid)

        return evaluate

    make.__doc__ = f"{unit}(n): n {unit}, to be added to a time."
    return make


def decimal(call: Arguments) -> Evaluator:
    """decimal(1250, 2): 12.50."""
    units, scale = call.value("units"), call.literal("digits", int)
    if not 0 <= scale <= _MOST_DIGITS:
        raise ExpressionError(f"decimal(): {scale} digits are not from 0 to {_MOST_DIGITS}")

    def make(chunk: Chunk) -> Column:
        found = units(chunk)
        if found.kind not in {Kind.INT, Kind.DECIMAL}:
            raise ExpressionError(f"decimal(): {found.kind} is no number")
        return Column(Kind.DECIMAL, found.numbers, found.valid, scale)

    return make


def text(call: Arguments) -> Evaluator:
    """text(x): the value as text."""
    value = call.value("value")

    def make(chunk: Chunk) -> Column:
        found = value(chunk)
        return Column(Kind.TEXT, texts.text(found), found.valid)

    return make


def changed(function: Any) -> Callable[[Arguments], Evaluator]:  # noqa: ANN401 - a function of Arrow's
    """The function that changes texts as one of Arrow's does."""

    def make(call: Arguments) -> Evaluator:
        value = call.value("text")

        def evaluate(chunk: Chunk) -> Column:
            found = of_kind(value(chunk), Kind.TEXT, call.name)
            return Column(Kind.TEXT, function(found.strings), found.valid)

        return evaluate

    case = function.__name__.removeprefix("utf8_")
    make.__doc__ = f"{case}(text): the text in {case} case."
    return make


def json(call: Arguments) -> Evaluator:
    """json(a=x, b=y): a JSON object."""
    fields = call.named()
    return lambda chunk: Column(
        Kind.JSON,
        texts.json_object({name: make(chunk) for name, make in fields.items()}) if fields else _repeat("{}", chunk),
    )


def array(call: Arguments) -> Evaluator:
    """array(x, y): a JSON array."""
    items = call.rest()

    def make(chunk: Chunk) -> Column:
        pieces: list[Any] = []
        for item in items:
            pieces += [",", texts.json_value(item(chunk))]
        return Column(Kind.JSON, arrow.concatenated("[", *pieces[1:], "]") if items else _repeat("[]", chunk))

    return make


def extreme(function: Any) -> Callable[[Arguments], Evaluator]:  # noqa: ANN401 - a ufunc
    """The function that takes one of two values."""

    def make(call: Arguments) -> Evaluator:
        left, right = call.value("a"), call.value("b")

        def evaluate(chunk: Chunk) -> Column:
            a, b = left(chunk), right(chunk)
            if a.kind is not b.kind or a.scale != b.scale:
                raise ExpressionError(f"{call.name}(): {a.kind} and {b.kind} are not of one kind")
            return Column(a.kind, function(a.numbers, b.numbers), both(a, b), a.scale)

        return evaluate

    name = function.__name__.removesuffix("imum")
    make.__doc__ = f"{name}(a, b): the {'larger' if name == 'max' else 'smaller'} of two values of one kind."
    return make


def instant(call: Arguments, name: str) -> int:
    """A constant time in µs since 1970; without a zone it is UTC."""
    written = call.literal(name, str)
    try:
        moment = dt.datetime.fromisoformat(written)
    except ValueError as error:
        raise ExpressionError(
            f"{call.name}(): {written!r} is no time such as '2026-01-31' or '2026-01-31T12:00'"
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def of_kind(column: Column, kind: Kind, name: str) -> Column:
    """The column itself, which must be of that kind."""
    if column.kind is not kind:
        raise ExpressionError(f"{name}(): {column.kind} stands where {kind} must")
    return column


def _repeat(text: str, chunk: Chunk) -> pa.StringArray:
    return arrow.repeated(text, len(chunk))

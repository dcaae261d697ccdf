"""What operators of the language do to columns: kinds, nulls, and the arithmetic itself."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from envctl.seeding import arrow
from envctl.seeding.column import TEXTUAL, Column, Kind, gathered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

ARITHMETIC: dict[type, str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Mod: "%"}
COMPARISONS: dict[type, str] = {
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}
_CALLS: dict[str, Any] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "//": np.floor_divide,
    "%": np.remainder,
}
# What comes of two kinds; what is not here cannot be calculated.
_RESULTS = {
    ("+", Kind.TIME, Kind.INT): Kind.TIME,
    ("-", Kind.TIME, Kind.INT): Kind.TIME,
    ("-", Kind.TIME, Kind.TIME): Kind.INT,
    ("+", Kind.DATE, Kind.INT): Kind.DATE,
    ("-", Kind.DATE, Kind.INT): Kind.DATE,
    ("-", Kind.DATE, Kind.DATE): Kind.INT,
    ("+", Kind.DECIMAL, Kind.DECIMAL): Kind.DECIMAL,
    ("-", Kind.DECIMAL, Kind.DECIMAL): Kind.DECIMAL,
    ("*", Kind.DECIMAL, Kind.INT): Kind.DECIMAL,
    ("*", Kind.INT, Kind.DECIMAL): Kind.DECIMAL,
}


class KindError(ValueError):
    """Two kinds that do not go together, in one sentence."""


def arithmetic(sign: str, left: Column, right: Column) -> Column:
    """`left sign right`, in 64-bit integers."""
    kind = Kind.INT if left.kind is right.kind is Kind.INT else _RESULTS.get((sign, left.kind, right.kind))
    if kind is None:
        hint = '; put texts together in an f-string, f"{a}{b}"' if Kind.TEXT in {left.kind, right.kind} else ""
        raise KindError(f"{left.kind} {sign} {right.kind} cannot be calculated{hint}")
    if kind is Kind.DECIMAL and left.kind is right.kind and left.scale != right.scale:
        raise KindError(f"decimals of {left.scale} and {right.scale} digits: give both the same")
    if sign in {"//", "%"} and not right.numbers.all():
        raise KindError(f"{sign} by zero")
    return Column(kind, _CALLS[sign](left.numbers, right.numbers), both(left, right), max(left.scale, right.scale))


def comparison(name: str, left: Column, right: Column) -> Column:
    """A truth per row; False where one side is null."""
    if left.kind in TEXTUAL and right.kind in TEXTUAL:
        found = arrow.flags(getattr(pc, name)(left.strings, right.strings))
    elif left.kind is right.kind or {left.kind, right.kind} == {Kind.INT, Kind.DECIMAL}:
        digits = max(left.scale, right.scale)
        found = getattr(np, name)(*(side.numbers * 10 ** (digits - side.scale) for side in (left, right)))
    else:
        raise KindError(f"{left.kind} cannot be compared with {right.kind}")
    valid = both(left, right)
    return Column(Kind.BOOL, found if valid is None else found & valid)


def member(left: Column, values: Sequence[object], *, wanted: bool) -> Column:
    """Whether each value is one of `values`, or is not; False where it is null."""
    if left.kind in TEXTUAL:
        if not all(isinstance(value, str) for value in values):
            raise KindError(f"text is looked for among {list(values)}")
        found = arrow.flags(pc.is_in(left.strings, value_set=arrow.strings(map(str, values))))
    elif all(isinstance(value, int) for value in values):
        found = np.isin(left.numbers, np.asarray(values, np.int64))
    else:
        raise KindError(f"{left.kind} is looked for among {list(values)}")
    return Column(Kind.BOOL, found == wanted if left.valid is None else (found == wanted) & left.valid)


def is_null(column: Column, *, wanted: bool) -> Column:
    """Whether each value is null."""
    null = np.zeros(len(column), np.bool_) if column.valid is None else ~column.valid
    return Column(Kind.BOOL, null == wanted)


def negated(column: Column) -> Column:
    """`not`."""
    return Column(Kind.BOOL, ~truth(column))


def combined(columns: Sequence[Column], *, every: bool) -> Column:
    """`and`, `or`."""
    reduce = np.logical_and.reduce if every else np.logical_or.reduce
    return Column(Kind.BOOL, reduce([truth(column) for column in columns]))


def either(condition: Column, then: Column, otherwise: Column) -> Column:
    """`then if condition else otherwise`; None takes the other's kind."""
    where = truth(condition)
    then, otherwise = alike(then, otherwise)
    if then.kind in TEXTUAL:
        values = pc.if_else(arrow.array(where), then.strings, otherwise.strings)
    else:
        values = np.where(where, then.values, otherwise.values)
    return Column(then.kind, values, _where_valid(where, then, otherwise), then.scale)


def alike(then: Column, otherwise: Column) -> tuple[Column, Column]:
    """Both sides of an `if` in one kind, which None takes from the other side."""
    if then.kind is Kind.NULL:
        then = none(len(then), otherwise)
    if otherwise.kind is Kind.NULL:
        otherwise = none(len(otherwise), then)
    if then.kind is not otherwise.kind or then.scale != otherwise.scale:
        raise KindError(f"one side of `if` is {then.kind}, the other {otherwise.kind}")
    return then, otherwise


def none(length: int, like: Column) -> Column:
    """Nulls of another column's kind."""
    values = arrow.repeated("", length) if like.kind in TEXTUAL else np.zeros(length, like.values.dtype)
    return Column(like.kind, values, np.zeros(length, np.bool_), like.scale)


def merged(where: Flags, then: Column, otherwise: Column) -> Column:
    """As `either`, of columns that have values only for the rows where the condition is true, and where it is not."""
    then, otherwise = alike(then, otherwise)
    order = np.empty(len(where), np.int64)
    order[where], order[~where] = np.arange(len(then)), np.arange(len(then), len(where))
    return gathered([then, otherwise]).take(order)


def both(left: Column, right: Column) -> Flags | None:
    """Where neither is null; None: nowhere."""
    if left.valid is None or right.valid is None:
        return right.valid if left.valid is None else left.valid
    return left.valid & right.valid


def truth(column: Column) -> Flags:
    """The truths of a column; null is False."""
    if column.kind is not Kind.BOOL:
        raise KindError(f"{column.kind} stands where true or false must")
    found: Flags = column.values if column.valid is None else column.values & column.valid
    return found


def summable(column: Column, function: str) -> NDArray[np.int64]:
    """The whole numbers or units of decimals of a column, 0 where it is null."""
    if column.kind not in {Kind.INT, Kind.DECIMAL}:
        raise KindError(f"{function}(): {column.kind} cannot be added up")
    return column.numbers if column.valid is None else np.where(column.valid, column.numbers, 0)


def number(column: Column) -> NDArray[np.int64]:
    """The whole numbers of a column."""
    if column.kind is not Kind.INT:
        raise KindError(f"{column.kind} stands where a whole number must")
    return column.numbers


def _where_valid(where: Flags, then: Column, otherwise: Column) -> Flags | None:
    if then.valid is None and otherwise.valid is None:
        return None
    every = np.ones(len(where), np.bool_)
    return np.where(
        where, every if then.valid is None else then.valid, every if otherwise.valid is None else otherwise.valid
    )

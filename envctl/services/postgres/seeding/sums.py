"""Sums over a column that the generator and the database compute independently of each other."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from envctl.seeding.column import TEXTUAL, Column, Kind, lengths
from envctl.services.postgres.seeding.catalog import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.services.postgres.seeding.catalog import TableColumn

_BY_TYPE = {
    **dict.fromkeys((20, 21, 23, 1700), "sum({0})"),
    **dict.fromkeys((25, 1043), "sum(octet_length({0}))"),
    16: "count(*) FILTER (WHERE {0})",
    1082: "sum({0} - date '1970-01-01')",
    # As float8 the seconds are exact to the microsecond until the year 2255, and five times as fast as numeric.
    **dict.fromkeys((1114, 1184), "sum((date_part('epoch', {0}) * 1000000)::int8)"),
}
_TIMES = frozenset({1114, 1184})
_EXACT = frozenset({-1, 6})
_LOW = 0xFFFFFFFF


def summed(column: TableColumn) -> bool:
    """Whether the sum of this column is told by both sides: not where the server changes what it stores."""
    return column.type in _BY_TYPE and not (column.type in _TIMES and column.modifier not in _EXACT)


def in_database(column: TableColumn) -> str:
    """The expression that computes it there, as text."""
    return f"trim_scale(coalesce({_BY_TYPE[column.type].format(quoted(column.name))}, 0)::numeric)::text"


def of_chunk(targets: Sequence[TableColumn], columns: Sequence[Column]) -> dict[str, int | str]:
    """What the generator says of some rows, by the table's column; decimals as text."""
    return {target.name: _sum(column) for target, column in zip(targets, columns, strict=True) if summed(target)}


def _sum(column: Column) -> int | str:
    if column.kind is Kind.NULL:
        return 0
    numbers = lengths(column.strings) if column.kind in TEXTUAL else column.numbers
    if column.valid is not None:
        numbers = numbers[column.valid]
    # In halves: a chunk of times is more than 64 bits hold.
    total = (int((numbers >> 32).sum()) << 32) + int((numbers & np.int64(_LOW)).sum())
    return format(Decimal(total).scaleb(-column.scale), "f") if column.scale else total

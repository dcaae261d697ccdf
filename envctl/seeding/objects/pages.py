"""A column's values as one Parquet data page: PLAIN, uncompressed, of the first version, which every reader knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from envctl.seeding.column import TEXTUAL, Column, Kind, contiguous, fixed, joined, lengths
from envctl.seeding.objects import thrift
from envctl.seeding.objects.defects import NOT_UTF8

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from envctl.seeding.objects.records import Path
    from envctl.seeding.objects.stream import Piece
    from envctl.seeding.objects.thrift import Value

    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

_BOOLEAN, _INT32, _INT64, _BYTE_ARRAY = 0, 1, 2, 6
_PHYSICAL = {Kind.BOOL: _BOOLEAN, Kind.DATE: _INT32, **dict.fromkeys(TEXTUAL, _BYTE_ARRAY)}
REQUIRED, OPTIONAL = 0, 1
_PRECISION = 18
"""Digits of a decimal that 64 bits surely hold."""

_NOTHING = thrift.struct({})
LENGTH = 4
"""Bytes of a text's length before it, and of the length of the definition levels."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A column of the file. Whether it is `optional` (has nulls) is said by its expression, not by its values."""

    path: Path
    kind: Kind
    scale: int
    optional: bool

    @property
    def physical(self) -> int:
        """Parquet's type."""
        return _PHYSICAL.get(self.kind, _INT64)

    @property
    def bits(self) -> int:
        """Bits a row takes besides whole bytes: definition levels and booleans."""
        return int(self.optional) + (self.kind is Kind.BOOL)

    @property
    def textual(self) -> bool:
        """Whether it is written as a text."""
        return self.physical == _BYTE_ARRAY

    def element(self) -> Value:
        """The column in the schema."""
        decimal = self.kind is Kind.DECIMAL
        converted, logical = _MEANINGS.get(self.kind, (None, None))
        if decimal:
            converted = 5
            logical = {5: thrift.struct({1: thrift.i32(self.scale), 2: thrift.i32(_PRECISION)})}
        return thrift.struct(
            {
                1: thrift.i32(self.physical),
                3: thrift.i32(OPTIONAL if self.optional else REQUIRED),
                4: thrift.binary(self.path[-1]),
                6: None if converted is None else thrift.i32(converted),
                7: thrift.i32(self.scale) if decimal else None,
                8: thrift.i32(_PRECISION) if decimal else None,
                10: None if logical is None else thrift.struct(logical),
            }
        )


_MICROSECONDS_UTC = thrift.struct({1: thrift.boolean(value=True), 2: thrift.struct({2: _NOTHING})})
_TEXT: tuple[int, dict[int, Value | None]] = (0, {1: _NOTHING})
# The older (converted) and the newer (logical) name of what a physical type means.
_MEANINGS: dict[Kind, tuple[int, dict[int, Value | None]]] = {
    Kind.TIME: (10, {8: _MICROSECONDS_UTC}),
    Kind.DATE: (6, {6: _NOTHING}),
    **dict.fromkeys(TEXTUAL, _TEXT),
}


@dataclass(frozen=True, slots=True)
class Page:
    """One column of one row group: `body` is what follows the header."""

    header: bytes
    body: tuple[Piece, ...]
    rows: int
    statistics: Value | None

    @property
    def size(self) -> int:
        """Bytes, with the header."""
        return len(self.header) + sum(map(len, self.body))


def page(leaf: Leaf, column: Column, *, ruined: bool = False) -> Page:
    """The column as a page; `ruined` texts are not UTF-8."""
    rows, valid, levels = len(column), column.valid, b""
    if leaf.optional:
        flags = np.ones(rows, np.bool_) if valid is None else valid
        levels = _levels(flags)
        column = column if flags.all() else column.take(np.flatnonzero(flags))
    body = (levels, _plain(leaf, column, ruined=ruined))
    return Page(header(rows, sum(map(len, body))), body, rows, _statistics(leaf, column, rows))


def header(rows: int, size: int) -> bytes:
    """The header of a page of so many rows and bytes."""
    plain, rle = thrift.i32(0), thrift.i32(3)
    data = thrift.struct({1: thrift.i32(rows), 2: plain, 3: rle, 4: rle})
    return thrift.struct({1: thrift.i32(0), 2: thrift.i32(size), 3: thrift.i32(size), 5: data}).body


def widths(leaf: Leaf, column: Column) -> Integers:
    """Whole bytes that each row takes in the page."""
    each = {_BOOLEAN: 0, _INT32: 4, _INT64: 8, _BYTE_ARRAY: LENGTH}[leaf.physical]
    found = np.full(len(column), each, np.int64)
    if leaf.physical == _BYTE_ARRAY:
        found += lengths(column.strings)
    return found if column.valid is None else found * column.valid


def _levels(valid: Flags) -> bytes:
    """Definition levels: bit-packed, in groups of eight, after their length."""
    bits = np.packbits(valid, bitorder="little").tobytes()
    run = thrift.varint(len(bits) << 1 | 1) + bits
    return len(run).to_bytes(LENGTH, "little") + run


def _plain(leaf: Leaf, column: Column, *, ruined: bool) -> Piece:
    if leaf.physical == _BOOLEAN:
        return np.packbits(column.values, bitorder="little").tobytes()
    if leaf.physical != _BYTE_ARRAY:
        numbers = np.ascontiguousarray(column.numbers, "<i4" if leaf.physical == _INT32 else "<i8")
        return numbers.data.cast("B")
    sizes = lengths(column.strings)
    written = contiguous(joined(fixed(sizes.astype("<u4")), column.strings))
    if not ruined:
        return written
    raw = np.frombuffer(written, np.uint8).copy()
    starts = np.cumsum(sizes + LENGTH) - sizes
    raw[starts[sizes > 0]] = NOT_UTF8
    return raw.data


def _statistics(leaf: Leaf, column: Column, rows: int) -> Value | None:
    """Least and greatest of what is held as integers, and how many are null."""
    nulls = thrift.i64(rows - len(column))
    if leaf.physical not in {_INT32, _INT64} or not len(column):
        return thrift.struct({3: nulls})
    width = 4 if leaf.physical == _INT32 else 8
    low, high = (
        int(end).to_bytes(width, "little", signed=True) for end in (column.numbers.min(), column.numbers.max())
    )
    return thrift.struct({3: nulls, 5: thrift.binary(high), 6: thrift.binary(low)})

"""Rows as PostgreSQL's binary COPY wants them, without a Python object per row.

A row is the number of its fields, then for each its length (-1: null) and its bytes, in network order. Neighbouring
fields of fixed width become one structured array; `joined` puts these and the texts between them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envctl.seeding import arrow
from envctl.seeding.column import TEXTUAL, Column, Kind, chosen, contiguous, fixed, joined, lengths
from envctl.seeding.texts import text
from envctl.services.postgres.seeding import numerics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from envctl.services.postgres.seeding.catalog import TableColumn

    Field = tuple[str, Any]

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

_EPOCH_US = 946_684_800_000_000
_EPOCH_DAYS = 10_957
"""PostgreSQL counts from 2000-01-01."""

_NULL = b"\xff\xff\xff\xff"
_ENUM = 0
_JSONB = 3802
_INT_LIMITS = {21: 1 << 15, 23: 1 << 31, 20: 1 << 63}
_TEXTS = frozenset({25, 1043, 1042, 19, 114, _JSONB, _ENUM})
_NUMBERS = frozenset({Kind.INT})
_FRACTIONS = frozenset({Kind.INT, Kind.DECIMAL})
_WRITTEN = frozenset({Kind.TEXT, Kind.JSON})

ACCEPTED = {
    21: _NUMBERS,
    23: _NUMBERS,
    20: _NUMBERS,
    700: _FRACTIONS,
    701: _FRACTIONS,
    1700: _FRACTIONS,
    16: frozenset({Kind.BOOL}),
    25: _WRITTEN,
    1043: _WRITTEN,
    1042: _WRITTEN,
    19: frozenset({Kind.TEXT}),
    114: _WRITTEN,
    _JSONB: _WRITTEN,
    _ENUM: frozenset({Kind.TEXT}),
    1082: frozenset({Kind.DATE}),
    1114: frozenset({Kind.TIME}),
    1184: frozenset({Kind.TIME}),
    2950: frozenset({Kind.TEXT}),
}
"""The kinds that go into each type (by OID, enums as 0) in binary; all other types take text, as people write them."""


class EncodingError(ValueError):
    """A value that does not fit its column: which column, which row of the chunk, and why."""

    def __init__(self, column: str, row: int, why: str) -> None:
        self.column, self.row, self.why = column, row, why
        super().__init__(f"{column}: {why}")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of one table travel: its columns, in the order of the COPY, binary or as text."""

    columns: Sequence[TableColumn]

    @property
    def binary(self) -> bool:
        """Whether every type has a binary form here; else all travels as text."""
        return all(form(column) in ACCEPTED for column in self.columns)

    def encode(self, columns: Sequence[Column]) -> memoryview:
        """The bytes of these rows.

        Raises:
            EncodingError: a value does not fit its column.

        """
        if not columns or not len(columns[0]):
            return memoryview(b"")
        return contiguous(self._binary(columns) if self.binary else as_text(columns))

    def _binary(self, columns: Sequence[Column]) -> pa.BinaryArray:
        pieces: list[pa.Array] = []
        pending: list[Field] = [(">i2", len(columns))]
        for target, column in zip(self.columns, columns, strict=True):
            valid = None if column.valid is None or column.valid.all() else column.valid
            if column.kind is Kind.NULL:
                pending.append((">i4", -1))
            elif form(target) in _TEXTS:
                pending += _length(target, column, valid)
                pieces += [_structured(pending, len(column)), _written(target, column, valid)]
                pending = []
            elif valid is None:
                pending += _fixed(target, column)
            else:
                if pending:
                    pieces.append(_structured(pending, len(column)))
                pieces.append(chosen(valid, _structured(_fixed(target, column), len(column)), _NULL))
                pending = []
        if pending:
            pieces.append(_structured(pending, len(columns[0])))
        return joined(*pieces) if len(pieces) > 1 else pieces[0]


def form(column: TableColumn) -> int:
    """The type's OID, or 0 for any enum."""
    return _ENUM if column.enum else column.type


def as_text(columns: Sequence[Column]) -> pa.BinaryArray:
    """Rows for COPY's text format."""
    pieces: list[Any] = []
    for column in columns:
        values = (
            escaped(column.strings)
            if column.kind in TEXTUAL
            else text(Column(column.kind, column.values, None, column.scale))
        )
        pieces += ["\t", values if column.valid is None else chosen(column.valid, values, "\\N")]
    return arrow.concatenated(*pieces[1:], "\n")


def escaped(strings: pa.StringArray) -> pa.StringArray:
    """Texts as fields of COPY's text format."""
    raw = np.frombuffer(contiguous(strings), np.uint8)
    if ((raw < 0x20) | (raw == 0x5C)).any():  # noqa: PLR2004 - control characters, backslash
        for plain, safe in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
            strings = pc.replace_substring(strings, plain, safe)
    return strings


def _structured(fields: list[Field], length: int) -> pa.BinaryArray:
    """Fields of fixed width, one after the other in each row."""
    out = np.empty(length, np.dtype([(str(index), type_) for index, (type_, _) in enumerate(fields)]))
    for index, (_, values) in enumerate(fields):
        out[str(index)] = values
    return fixed(out)


def _length(target: TableColumn, column: Column, valid: NDArray[np.bool_] | None) -> list[Field]:
    """What stands before a text: its length, and for jsonb the version of its form."""
    counted = lengths(column.strings) + (target.type == _JSONB)
    if valid is not None:
        counted = np.where(valid, counted, -1)
    head: list[Field] = [(">i4", counted)]
    return [*head, ("u1", 1)] if target.type == _JSONB and valid is None else head


def _written(target: TableColumn, column: Column, valid: NDArray[np.bool_] | None) -> pa.Array:
    if valid is None:
        return column.strings
    return chosen(valid, joined(b"\1", column.strings) if target.type == _JSONB else column.strings, "")


def _fixed(target: TableColumn, column: Column) -> list[Field]:
    """One field of fixed width: its length, then what it is made of."""
    type_ = target.type
    if type_ in _INT_LIMITS:
        limit = _INT_LIMITS[type_]
        width = limit.bit_length() // 8
        return [(">i4", width), (f">i{width}", _in_range(target, column, limit))]
    if type_ == 1700:  # noqa: PLR2004 - numeric
        return numerics.fields(column.numbers, column.scale)
    maker = _MAKERS[type_]
    return maker(target, column)


def _in_range(target: TableColumn, column: Column, limit: int) -> NDArray[np.int64]:
    numbers = column.numbers
    if limit < 1 << 63 and len(numbers) and (int(numbers.max()) >= limit or int(numbers.min()) < -limit):
        wrong = (numbers >= limit) | (numbers < -limit)
        if column.valid is not None:
            wrong &= column.valid
        if wrong.any():
            row = int(wrong.argmax())
            raise EncodingError(target.name, row, f"{int(numbers[row])} does not fit into {target.written}")
    return numbers


def _float(width: int) -> Callable[[TableColumn, Column], list[Field]]:
    return lambda _, column: [(">i4", width), (f">f{width}", column.numbers / 10**column.scale)]


def _date(target: TableColumn, column: Column) -> list[Field]:
    days = Column(column.kind, column.numbers - _EPOCH_DAYS, column.valid)
    return [(">i4", 4), (">i4", _in_range(target, days, 1 << 31))]


def _uuid(target: TableColumn, column: Column) -> list[Field]:
    strings = column.strings
    if column.valid is not None:
        strings = chosen(column.valid, strings, "00000000-0000-0000-0000-000000000000")
    odd = lengths(strings) != _UUID_LENGTH
    if not odd.any():
        raw = np.frombuffer(contiguous(strings), np.uint8).reshape(-1, _UUID_LENGTH)
        nibbles = _NIBBLES[raw[:, _UUID_DIGITS]]
        odd = (nibbles > 15).any(axis=1) | (raw[:, _UUID_DASHES] != ord("-")).any(axis=1)  # noqa: PLR2004 - hex digits
    if odd.any():
        row = int(odd.argmax())
        raise EncodingError(target.name, row, f"{strings[row].as_py()!r} is no UUID of 32 digits and 4 dashes")
    return [(">i4", 16), ("(16,)u1", nibbles[:, ::2] << 4 | nibbles[:, 1::2])]


_UUID_LENGTH = 36
_UUID_DASHES = [8, 13, 18, 23]
_UUID_DIGITS = [index for index in range(_UUID_LENGTH) if index not in _UUID_DASHES]
_NIBBLES = np.full(256, 255, np.uint8)
_NIBBLES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_NIBBLES[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)

_MAKERS: dict[int, Callable[[TableColumn, Column], list[Field]]] = {
    700: _float(4),
    701: _float(8),
    16: lambda _, column: [(">i4", 1), ("u1", column.values)],
    1082: _date,
    1114: lambda _, column: [(">i4", 8), (">i8", column.numbers - _EPOCH_US)],
    1184: lambda _, column: [(">i4", 8), (">i8", column.numbers - _EPOCH_US)],
    2950: _uuid,
}

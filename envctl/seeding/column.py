"""A column of values: what generators make and encoders write, without a Python object per row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envctl.seeding import arrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]


class Kind(StrEnum):
    """What a column's values mean, and with that how they are held.

    `int`, `time` (µs since 1970 in UTC), `date` (days since 1970) and `decimal` (units of 10**-scale) are int64 arrays;
    `bool` is a bool array; `text` and `json` (one JSON document each) are Arrow string arrays. `null` is what None
    alone is: empty strings, none of them valid.
    """

    INT = "int"
    BOOL = "bool"
    TIME = "time"
    DATE = "date"
    DECIMAL = "decimal"
    TEXT = "text"
    JSON = "json"
    NULL = "null"


TEXTUAL = frozenset({Kind.TEXT, Kind.JSON, Kind.NULL})


@dataclass(frozen=True, slots=True)
class Column:
    """Values of one kind. `valid` is None where none is null; where it is False, the value means nothing."""

    kind: Kind
    values: Any
    valid: Flags | None = None
    scale: int = 0

    def __len__(self) -> int:
        return len(self.values)

    @property
    def numbers(self) -> Integers:
        """The values of a kind that is held as int64, or of `bool` as 0 and 1."""
        found: Integers = np.asarray(self.values, np.int64)
        return found

    @property
    def strings(self) -> pa.StringArray:
        """The values of a textual kind; nulls are empty strings here."""
        return self.values

    def take(self, rows: Integers) -> Column:
        """These rows, in this order."""
        valid = None if self.valid is None else self.valid[rows]
        values = self.values.take(arrow.array(rows)) if self.kind in TEXTUAL else self.values[rows]
        return Column(self.kind, values, valid, self.scale)

    def slice(self, start: int, stop: int) -> Column:
        """The rows from `start` up to `stop`."""
        valid = None if self.valid is None else self.valid[start:stop]
        values = self.values[start:stop]
        return Column(self.kind, values, valid, self.scale)

    def pylist(self) -> list[object]:
        """The values as Python's: for tests, verification and small things."""
        found: list[object] = self.values.to_pylist() if self.kind in TEXTUAL else self.values.tolist()
        if self.valid is None:
            return found
        return [value if ok else None for value, ok in zip(found, self.valid, strict=True)]


def constant(value: int | str | bool | None, length: int) -> Column:
    """The same value in every row; None is null in every row."""
    if value is None:
        return Column(Kind.NULL, arrow.repeated("", length), np.zeros(length, np.bool_))
    if isinstance(value, bool):
        return Column(Kind.BOOL, np.full(length, value))
    if isinstance(value, int):
        return Column(Kind.INT, np.full(length, value, np.int64))
    return Column(Kind.TEXT, arrow.repeated(value, length))


def gathered(parts: list[Column]) -> Column:
    """Columns of one kind, one after the other."""
    first = parts[0]
    valid = None
    if any(part.valid is not None for part in parts):
        valid = np.concatenate([np.ones(len(p), np.bool_) if p.valid is None else p.valid for p in parts])
    if isinstance(first.values, pa.Array):
        return Column(first.kind, pa.concat_arrays([part.values for part in parts]), valid, first.scale)
    return Column(first.kind, np.concatenate([part.values for part in parts]), valid, first.scale)


def joined(*pieces: pa.Array | bytes) -> pa.BinaryArray:
    """The pieces of each row, one after the other; bytes stand in every row. The one copy of an encoder.

    Arrow copies 8 000 rows of six pieces at 38 ns a row (measured, pyarrow 26, one core); the data buffer of the
    result (`contiguous`) is then all rows' bytes without anything between them.
    """
    arrays = [arrow.constant(p) if isinstance(p, bytes) else _binary(p) for p in pieces]
    return pc.binary_join_element_wise(*arrays, arrow.constant(b""))


def contiguous(rows: pa.BinaryArray | pa.StringArray) -> memoryview:
    """All rows' bytes as they lie in memory, one after the other."""
    data, bounds = rows.buffers()[2], arrow.bounds(rows)
    return memoryview(b"") if data is None else memoryview(data)[int(bounds[0]) : int(bounds[-1])]


def lengths(rows: pa.BinaryArray | pa.StringArray) -> Integers:
    """Bytes of each row."""
    return np.diff(arrow.bounds(rows)).astype(np.int64)


def fixed(values: NDArray[Any]) -> pa.BinaryArray:
    """An array of fixed-size items (structured, or of bytes in rows) as binary values, without a copy."""
    values = np.ascontiguousarray(values)
    width = values.nbytes // max(1, len(values))
    offsets = np.arange(len(values) + 1, dtype=np.int32) * np.int32(width)
    return pa.Array.from_buffers(pa.binary(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(values)])


def chosen(condition: Flags, then: pa.Array, otherwise: pa.Array | bytes | str) -> pa.Array:
    """Row by row one of two, such as a value or its null."""
    if isinstance(otherwise, bytes | str):
        otherwise = arrow.constant(otherwise)
    return pc.if_else(arrow.array(condition), then, otherwise)


def _binary(array: pa.Array) -> pa.BinaryArray:
    return array if array.type == pa.binary() else array.cast(pa.binary())

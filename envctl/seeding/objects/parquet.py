"""Parquet by a writer of our own: the same bytes on every machine and with every version of Python and pyarrow.

Format version 1, PLAIN, uncompressed; fields of nested records are required groups, a field that can be null is
optional. Whole numbers are INT64, times TIMESTAMP (µs, UTC), dates DATE, decimals DECIMAL(18, digits), texts and JSON
strings. An entry `envctl.padding` in the footer makes the size exact.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from envctl.seeding.objects import thrift
from envctl.seeding.objects.defects import Defect, cut, ruined
from envctl.seeding.objects.pages import LENGTH, REQUIRED, Leaf, header, page, widths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from envctl.seeding.column import Column
    from envctl.seeding.objects.records import Path, Records
    from envctl.seeding.objects.stream import Piece, Pieces
    from envctl.seeding.objects.thrift import Value

    Integers = NDArray[np.int64]

GROUP = 2 << 20
"""Bytes of a row group, about; it is what a stream holds in memory. Part of the format: another value, other bytes."""

_MOST_ROWS = 1 << 17
_PROBED = 64
"""Rows that are made to learn how long rows are."""

_MAGIC = b"PAR1"
_END = 8
"""The footer's length and the magic after it."""

_ROOT = "schema"
_PADDING = "envctl.padding"
_WRITER = "envctl version 1.0.0 (build generated)"
_LARGE = 1 << 40
"""Larger than any number in a footer; one that is made with it is longer than the real one."""


class Parquet:
    """The columns of one version."""

    def __init__(self, records: Records) -> None:
        self.records = records
        probe = records.fields(records.parent, 0, _PROBED)
        self.leaves = [Leaf(path, c.kind, c.scale, c.valid is not None) for path, c in probe.items()]
        self.schema = thrift.listed(_elements(_ROOT, {leaf.path: leaf for leaf in self.leaves}))

    def footer(self, groups: Sequence[Value], rows: int, padding: int = 0, longer: int = 0) -> bytes:
        """The metadata of the file; `padding` bytes in an entry whose name is `longer` by so many."""
        order = thrift.struct({1: thrift.struct({})})
        entry = {1: thrift.binary(_PADDING + "_" * longer), 2: thrift.binary(b"." * padding)}
        return thrift.struct(
            {
                1: thrift.i32(1),
                2: self.schema,
                3: thrift.i64(rows),
                4: thrift.listed(groups),
                5: thrift.listed([thrift.struct(entry)]),
                6: thrift.binary(_WRITER),
                7: thrift.listed([order] * len(self.leaves)),
            }
        ).body

    @cached_property
    def overhead(self) -> int:
        """The most that one row group takes besides its rows, in itself and in the footer."""
        number = thrift.binary(bytes(8))
        most = thrift.struct({3: thrift.i64(_LARGE), 5: number, 6: number})
        heads = [header(_LARGE, _LARGE) for _ in self.leaves]
        levels = sum(9 for leaf in self.leaves if leaf.optional)
        columns = [_column(leaf, _LARGE, _LARGE, _LARGE, most) for leaf in self.leaves]
        return sum(map(len, heads)) + levels + len(_group(columns, _LARGE, _LARGE, _LARGE, 1 << 14).body)


class ParquetBody:
    """One object: row groups until not one row more would fit."""

    def __init__(self, file: Parquet, parent: int, size: int, defect: Defect) -> None:
        self._file, self._parent, self._size, self._defect = file, parent, size, defect
        self._at, self._row, self._lost = 0, 0, 0
        self._groups: list[Value] = []
        self._overhead = file.overhead
        taken = self._taken(file.records.fields(parent, 0, _PROBED))
        self._probed = max(1, int(taken[-1]))
        if defect is Defect.ENCODING and not any(leaf.textual for leaf in file.leaves):
            raise file.records.problem(parent, "have no text: nothing in a Parquet file of them can be encoded wrongly")

    def smallest(self) -> int:
        """The least bytes that this object can have: one row."""
        return (
            self._size - self._room() + int(self._taken(self._file.records.fields(self._parent, 0, 1))[0]) + len(_MAGIC)
        )

    def pieces(self) -> Pieces:
        """The object's bytes, once."""
        return cut(self._endless(), self._size) if self._defect is Defect.TRUNCATED else self._whole()

    def _whole(self) -> Pieces:
        yield self._next(_MAGIC)
        while True:
            fields, count = self._fields(self._room())
            fit = int(np.searchsorted(self._taken(fields), self._room(), side="right"))
            if fit:
                yield from self._group({path: column.slice(0, fit) for path, column in fields.items()}, fit)
            if fit < count:
                break
        if not self._row:
            raise self._file.records.problem(self._parent, "are longer than the whole object: give it more bytes")
        yield self._footer()
        return self._row - self._lost

    def _endless(self) -> Pieces:
        """As many row groups as somebody takes."""
        yield self._next(_MAGIC)
        while True:
            fields, count = self._fields(self._size - self._at)
            yield from self._group(fields, count)

    def _room(self) -> int:
        """Bytes for the rows of one more row group."""
        footer = self._file.footer([*self._groups, thrift.struct({})], _LARGE)
        return self._size - self._at - len(footer) - _END - self._overhead

    def _fields(self, room: int) -> tuple[dict[Path, Column], int]:
        """The next rows, as many as a row group has or somewhat more than there is room for."""
        fill = max(0, room) * _PROBED // self._probed
        count = max(1, min(GROUP * _PROBED // self._probed, fill + fill // 32 + 16, _MOST_ROWS))
        return self._file.records.fields(self._parent, self._row, self._row + count), count

    def _taken(self, fields: dict[Path, Column]) -> Integers:
        """The bytes that the rows take from the first to each."""
        leaves = self._file.leaves
        whole = np.cumsum(sum(widths(leaf, fields[leaf.path]) for leaf in leaves))
        bits = (np.arange(len(whole)) + 8) // 8 * sum(leaf.bits for leaf in leaves)
        found: Integers = whole + bits
        return found

    def _group(self, fields: dict[Path, Column], rows: int) -> Iterator[Piece]:
        """One row group."""
        wrong = self._defect is Defect.ENCODING
        start, taken, columns = self._at, self._taken(fields), []
        broken = self._defect is Defect.CORRUPT and not self._lost and self._size // 2 < start + int(taken[-1])
        for leaf in self._file.leaves:
            made = page(leaf, fields[leaf.path], ruined=wrong)
            columns.append(_column(leaf, rows, made.size, self._at, made.statistics))
            yield self._next(ruined(made.header) if broken else made.header)
            for piece in made.body:
                yield self._next(piece)
        self._groups.append(_group(columns, self._at - start, rows, start, len(self._groups)))
        self._lost += rows if broken else self._wrong(fields) if wrong else 0
        self._row += rows

    def _wrong(self, fields: dict[Path, Column]) -> int:
        """How many rows have a text."""
        texts = [widths(leaf, fields[leaf.path]) > LENGTH for leaf in self._file.leaves if leaf.textual]
        return int(np.logical_or.reduce(texts).sum())

    def _footer(self) -> bytes:
        least = self._file.footer(self._groups, self._row)
        padding, longer = _padding(self._size - self._at - len(least) - _END)
        footer = self._file.footer(self._groups, self._row, padding, longer)
        size = len(footer).to_bytes(4, "little")
        if self._defect is Defect.CORRUPT and not self._lost:
            # So small that the footer is in the middle.
            footer, self._lost = ruined(footer), self._row
        return footer + size + _MAGIC

    def _next(self, piece: Piece) -> Piece:
        self._at += len(piece)
        return piece


def _padding(size: int) -> tuple[int, int]:
    """How long the padding is, and its name longer, for so many bytes: the padding's length takes bytes, too."""
    for longer in (0, 1):
        for width in range(1, 6):
            padding = size - longer - width + 1
            if padding >= 0 and len(thrift.varint(padding)) == width:
                return padding, longer
    raise AssertionError(size)


def _elements(name: str, leaves: Mapping[Path, Leaf], repetition: Value | None = None) -> Iterator[Value]:
    """A group of the schema, and all below it, depth first."""
    below: dict[str, dict[Path, Leaf]] = {}
    for (first, *rest), leaf in leaves.items():
        below.setdefault(first, {})[tuple(rest)] = leaf
    yield thrift.struct({3: repetition, 4: thrift.binary(name), 5: thrift.i32(len(below))})
    for first, inner in below.items():
        if () in inner:
            yield inner[()].element()
        else:
            yield from _elements(first, inner, thrift.i32(REQUIRED))


def _column(leaf: Leaf, rows: int, size: int, offset: int, statistics: Value | None) -> Value:
    """A column of a row group, in the footer."""
    plain, rle = thrift.i32(0), thrift.i32(3)
    meta = thrift.struct(
        {
            1: thrift.i32(leaf.physical),
            2: thrift.listed([plain, rle]),
            3: thrift.listed(map(thrift.binary, leaf.path)),
            4: thrift.i32(0),
            5: thrift.i64(rows),
            6: thrift.i64(size),
            7: thrift.i64(size),
            9: thrift.i64(offset),
            12: statistics,
        }
    )
    return thrift.struct({2: thrift.i64(0), 3: meta})


def _group(columns: list[Value], size: int, rows: int, offset: int, number: int) -> Value:
    """A row group, in the footer."""
    return thrift.struct(
        {
            1: thrift.listed(columns),
            2: thrift.i64(size),
            3: thrift.i64(rows),
            5: thrift.i64(offset),
            6: thrift.i64(size),
            7: thrift.i16(number),
        }
    )

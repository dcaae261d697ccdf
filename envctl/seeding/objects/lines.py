"""Objects of lines (JSON lines, CSV) of exact sizes, with their defects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from envctl.seeding.column import contiguous
from envctl.seeding.objects.coding import Utf8, Utf16
from envctl.seeding.objects.defects import Defect

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from envctl.seeding.objects.records import Records
    from envctl.seeding.objects.stream import Piece, Pieces

    Integers = NDArray[np.int64]

PIECE = 1 << 20
"""Bytes of a piece, about: large enough that Python's share is small, small enough for a core's cache."""

_FIRST = 64
"""Rows that are made to learn how long rows are."""

_HELD = 2
"""Rows that may have to change when it turns out that no further row fits."""


class Lines(Protocol):
    """One format: its header, and each row as a line with its newline; in UTF-8."""

    header: str
    records: Records

    def rows(self, parent: int, start: int, stop: int) -> pa.StringArray:
        """The lines of these rows."""
        ...

    def padded(self, parent: int, row: int, by: int) -> bytes:
        """One line, longer by so many ASCII characters."""
        ...

    def broken(self, line: bytes) -> bytes:
        """The line with bytes overwritten, so that it is no row any more."""
        ...


class LineBody:
    """One object: rows until the next would not fit, the last one padded. `piece` never changes a byte.

    Sizes are counted in units of the encoding, which may be wider than a byte.
    """

    def __init__(self, lines: Lines, parent: int, size: int, defect: Defect, piece: int = PIECE) -> None:
        self._lines, self._parent, self._defect, self._piece = lines, parent, defect, piece
        self._coding = Utf16() if defect is Defect.ENCODING else Utf8()
        # What two-byte units cannot fill is left over: half a character.
        self._units, self._rest = divmod(size, self._coding.unit)
        self._header = self._coding.encoded((self._coding.mark + lines.header).encode())
        self._at = len(self._header) // self._coding.unit
        self._middle = max(self._units // 2, self._at) if defect is Defect.CORRUPT else -1

    def smallest(self) -> int:
        """The least bytes that this object can have: one row, or two if the last one is to be cut."""
        rows = self._lines.rows(self._parent, 0, 2 if self._defect is Defect.TRUNCATED else 1)
        return len(self._header) + int(self._coding.ends(rows)[-1]) * self._coding.unit

    def pieces(self) -> Pieces:
        """The object's bytes, once."""
        if self._header:
            yield self._header
        row, count = 0, self._next_count()
        while True:
            batch = self._lines.rows(self._parent, row, row + count)
            ends = self._coding.ends(batch)
            fit = int(np.searchsorted(ends, self._units - self._at, side="right"))
            if fit < count:
                break
            yield from self._rows(batch, ends, fit - _HELD)
            row += fit - _HELD
            self._lines.records.typical = -(-int(ends[-1]) // count)
            count = self._next_count()
        last = self._cut if self._defect is Defect.TRUNCATED else self._full
        intact = yield from last(batch, ends, fit, row)
        if self._rest:
            yield b"\n"
        return {Defect.CORRUPT: intact - 1, Defect.ENCODING: 0}.get(self._defect, intact)

    def _next_count(self) -> int:
        """Rows for one piece, or a few more than there is room for."""
        typical, room = self._lines.records.typical, min(self._piece, self._units - self._at)
        return 2 * _HELD + max(0, room) * 65 // (64 * typical) if typical else _FIRST

    def _rows(self, batch: pa.StringArray, ends: Integers, stop: int) -> Iterator[Piece]:
        """The rows up to `stop`; the one in the object's middle is broken if one is to be."""
        if stop < 1:
            return
        whole, length, middle = contiguous(batch[:stop]), int(ends[stop - 1]), self._middle - self._at
        self._at += length
        if not 0 <= middle < length:
            yield self._coding.encoded(whole)
            return
        broken = int(np.searchsorted(ends, middle, side="right"))
        start, end = int(ends[broken - 1]) if broken else 0, int(ends[broken])
        yield whole[:start]
        yield self._lines.broken(bytes(whole[start:end]))
        yield whole[end:]

    def _line(self, row: int, longer: int) -> Iterator[Piece]:
        """One row that is longer than it would be."""
        line = self._lines.padded(self._parent, row, longer)
        broken = 0 <= self._middle - self._at < len(line)
        self._at += len(line)
        yield self._coding.encoded(self._lines.broken(line) if broken else line)

    def _full(self, batch: pa.StringArray, ends: Integers, fit: int, row: int) -> Pieces:
        """The rows that fit, the last one as long as there is room."""
        if not fit:
            raise self._lines.records.problem(self._parent, "are longer than the whole object: give it more bytes")
        gap = self._units - self._at - int(ends[fit - 1])
        yield from self._rows(batch, ends, fit - 1 if gap else fit)
        if gap:
            yield from self._line(row + fit - 1, gap)
        return row + fit

    def _cut(self, batch: pa.StringArray, ends: Integers, fit: int, row: int) -> Pieces:
        """The rows that fit, and a part of the next that is no row."""
        room = self._units - self._at
        cut = fit - 1 if fit and ends[fit - 1] == room else fit
        if not cut:
            raise self._lines.records.problem(self._parent, "leave no room for one before the cut: give it more bytes")
        line = bytes(contiguous(batch[cut : cut + 1]))
        left = room - int(ends[cut - 1])
        # A line that lacks its newline alone is a row all the same: then the one before it takes some room.
        kept = left if left < len(line) - 1 else max(1, (len(line) - 1) // 2)
        yield from self._rows(batch, ends, cut - 1)
        yield from self._line(row + cut - 1, left - kept)
        yield line[:kept]
        return row + cut

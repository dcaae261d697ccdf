"""How lines become bytes: UTF-8 as they are, or UTF-16 where the encoding is the defect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from envctl.seeding.column import contiguous

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from envctl.seeding.objects.stream import Piece

    Integers = NDArray[np.int64]

_FOUR_BYTES = 0xF0
"""From this first byte on a character takes four bytes in UTF-8, and two units in UTF-16."""


class Utf8:
    """Units are bytes."""

    unit = 1
    mark = ""

    def ends(self, rows: pa.StringArray) -> Integers:
        """Where each row ends, in units from the first one's start."""
        bounds = np.frombuffer(rows.buffers()[1], np.int32)[rows.offset : rows.offset + len(rows) + 1]
        return bounds[1:].astype(np.int64) - int(bounds[0])

    def encoded(self, piece: Piece) -> Piece:
        """Whole rows' UTF-8 in this encoding."""
        return piece


class Utf16(Utf8):
    """Units are 16 bits, the lower byte first, after a byte order mark: what Windows writes as "Unicode"."""

    unit = 2
    mark = "\ufeff"

    def ends(self, rows: pa.StringArray) -> Integers:
        """Where each row ends, in units from the first one's start."""
        raw = np.frombuffer(contiguous(rows), np.uint8)
        characters = np.frombuffer(pc.utf8_length(rows).buffers()[1], np.int32)[: len(rows)]
        found: Integers = np.cumsum(characters, dtype=np.int64)
        if len(raw) and int(raw.max()) >= _FOUR_BYTES:
            found += np.searchsorted(np.flatnonzero(raw >= _FOUR_BYTES), super().ends(rows))
        return found

    def encoded(self, piece: Piece) -> Piece:
        """Whole rows' UTF-8 in this encoding."""
        return str(piece, "utf-8").encode("utf-16-le")

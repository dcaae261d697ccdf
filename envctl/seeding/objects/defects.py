"""What is wrong with an object on purpose, and how many of its rows are still intact.

A row is intact if a reader who knows nothing of the defect gets it whole from the object, row by row (JSON lines, CSV)
or row group by row group (Parquet), all of its fields:

- `corrupt`: the line in the middle is broken: all rows but one. In Parquet the page headers of the row group in the
  middle are (of files with as much footer as data, the footer): the rows of the other groups.
- `truncated`: it ends within a row: the rows before it. Parquet ends before the footer: none.
- `empty`: 0 bytes: none.
- `encoding`: UTF-16 with a byte order mark where UTF-8 is due, and at odd sizes half a character at the end: none. In
  Parquet all texts begin with a byte that UTF-8 does not have: the rows without any text.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envctl.seeding.objects.stream import Piece, Pieces


class Defect(StrEnum):
    """What is wrong with an object."""

    NONE = "none"
    CORRUPT = "corrupt"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    ENCODING = "encoding"


NOT_UTF8 = 0xFF
"""A byte that stands nowhere in UTF-8, nor at the start of anything in Thrift."""


def empty() -> Pieces:
    """No bytes."""
    yield from ()
    return 0


def ruined(piece: Piece) -> bytes:
    """As many bytes, none of them means anything."""
    return bytes([NOT_UTF8]) * len(piece)


def cut(pieces: Pieces, size: int) -> Pieces:
    """The first `size` bytes; no row of what is left can be read."""
    left = size
    for piece in pieces:
        yield piece[:left]
        left -= min(left, len(piece))
        if not left:
            break
    pieces.close()
    return 0

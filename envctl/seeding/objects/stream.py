"""Bytes in pieces, with the number of intact rows at their end."""

from __future__ import annotations

from collections.abc import Generator, Iterator

Piece = bytes | memoryview
Pieces = Generator[Piece, None, int]
"""Makes an object's bytes; returns how many of its rows are intact."""


class Stream(Iterator[Piece]):
    """An object's exact bytes, once: 1 MB of lines at a time, or a column of a row group of 2 MB."""

    rows: int
    """The object's intact rows: there when all its bytes were taken, and not before."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces

    def __next__(self) -> Piece:
        try:
            while not (piece := next(self._pieces)):
                pass
        except StopIteration as end:
            if end.value is not None:  # asked once more, a generator forgets what it returned
                self.rows = end.value
            raise
        return piece

"""CSV in UTF-8 as RFC 4180 has it, but for line feeds as ends of lines: a header, and quotes where they are needed.

Fields of nested records are columns named `outer_inner`. Null is an empty field and the empty text is `""`, so that
readers that can tell them apart do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envctl.seeding import arrow
from envctl.seeding.column import TEXTUAL, Column, Kind, chosen, contiguous, lengths
from envctl.seeding.texts import text

if TYPE_CHECKING:
    from envctl.seeding.objects.records import Path, Records

_SPECIAL = (b'"', b",", b"\n", b"\r")
_NUMBERS = frozenset({Kind.INT, Kind.DECIMAL})


class Csv:
    """The lines of one version.

    In a line that must be longer, the last text has blanks at its end (JSON is preferred: it means the same with them);
    where there is no text, the last number has zeros in front. Every reader takes both, and finds the same columns.
    """

    def __init__(self, records: Records) -> None:
        self.records = records
        names = ["_".join(path) for path in records.paths]
        self.header = ",".join(_quoted(name) for name in names) + "\n"
        if len(set(names)) < len(names):
            raise records.problem(records.parent, f"two columns of a CSV file have one name among {', '.join(names)}")

    def rows(self, parent: int, start: int, stop: int) -> pa.StringArray:
        """The lines of these rows, each with its newline."""
        return self._lines(self.records.fields(parent, start, stop))

    def padded(self, parent: int, row: int, by: int) -> bytes:
        """One line, longer by so many bytes.

        Raises:
            WorldError: no column is a text or a number.

        """
        fields = self.records.fields(parent, row, row + 1)
        path = min(reversed(fields), key=lambda path: _rank(fields[path]))
        if _rank(fields[path]) == _NEVER:
            raise self.records.problem(parent, "a CSV file gets its exact size in a text or a number: add such a field")
        wanted, written = len(self._line(fields)) + by, text(fields[path])[0].as_py()
        number = fields[path].kind in _NUMBERS
        while len(line := self._line({**fields, path: _longer(written, by, number=number)})) < wanted:
            by += wanted - len(line)  # an empty text has lost its quotes
        return line

    @staticmethod
    def broken(line: bytes) -> bytes:
        """The line with all its commas overwritten, or with one where there was none: another number of columns."""
        if b"," in line:
            return line.replace(b",", b";")
        return b"," + line[1:]

    def _line(self, fields: dict[Path, Column]) -> bytes:
        return bytes(contiguous(self._lines(fields)))

    @staticmethod
    def _lines(fields: dict[Path, Column]) -> pa.StringArray:
        values = [_field(column, alone=len(fields) == 1) for column in fields.values()]
        # Arrow puts separators between at half the price of pieces, but none behind.
        values[-1] = arrow.concatenated(values[-1], "\n")
        return arrow.concatenated(*values, between=",")


_NEVER = 5


def _rank(column: Column) -> int:
    """How well one value takes padding, the best first."""
    null = column.valid is not None and not column.valid[0]
    order = {Kind.JSON: 0, Kind.TEXT: 1, Kind.INT: 2, Kind.DECIMAL: 2, Kind.NULL: 3}
    return _NEVER if column.kind not in order else 3 if null else order[column.kind]


def _longer(written: str, by: int, *, number: bool) -> Column:
    """One value with zeros in front or blanks behind."""
    sign = "-" if written.startswith("-") and number else ""
    found = sign + "0" * by + written.removeprefix(sign) if number else written + " " * by
    return Column(Kind.TEXT, arrow.strings([found]))


def _field(column: Column, *, alone: bool) -> pa.StringArray:
    """Each value as it stands between commas; a line that is nothing but an empty field has quotes."""
    plain = text(column)
    if column.kind not in TEXTUAL:
        return plain if column.valid is None or not alone else chosen(column.valid, plain, '""')
    empty = lengths(plain) == 0
    if column.valid is not None and not alone:
        empty &= column.valid
    raw = bytes(contiguous(plain))
    if any(special in raw for special in _SPECIAL):
        special = pc.match_substring_regex(plain, '[",\n\r]')
        safe = arrow.concatenated('"', pc.replace_substring(plain, '"', '""'), '"')
        plain = pc.if_else(special, safe, plain)
    return chosen(~empty, plain, '""') if np.any(empty) else plain


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"' if any(special.decode() in name for special in _SPECIAL) or not name else name

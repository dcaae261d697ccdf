"""JSON lines: one object a row, nested as its version says; in UTF-8, without blanks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.seeding.column import Column, Kind, contiguous
from envctl.seeding.texts import json_object

if TYPE_CHECKING:
    import pyarrow as pa

    from envctl.seeding.objects.records import Path, Records

_BROKEN = 8
"""Bytes that a broken line has lost."""


class JsonLines:
    """The lines of one version. A line that must be longer has blanks before its end, which JSON permits."""

    header = ""

    def __init__(self, records: Records) -> None:
        self.records = records

    def rows(self, parent: int, start: int, stop: int) -> pa.StringArray:
        """The lines of these rows, each with its newline."""
        return json_object(_nested(self.records.fields(parent, start, stop)), "\n")

    def padded(self, parent: int, row: int, by: int) -> bytes:
        """One line, longer by so many bytes."""
        line = bytes(contiguous(self.rows(parent, row, row + 1)))
        return line[:-1] + b" " * by + b"\n"

    @staticmethod
    def broken(line: bytes) -> bytes:
        """The line with its first bytes overwritten: no JSON any more."""
        width = min(_BROKEN, len(line) - 1)
        return b"#" * width + line[width:]


def _nested(fields: dict[Path, Column]) -> dict[str, Column]:
    """The fields with those of nested records as one JSON document each."""
    found: dict[str, Column] = {}
    inner: dict[str, dict[Path, Column]] = {}
    for (name, *below), column in fields.items():
        if not below:
            found[name] = column
            continue
        found.setdefault(name, column)  # keeps its place
        inner.setdefault(name, {})[tuple(below)] = column
    for name, below_it in inner.items():
        found[name] = Column(Kind.JSON, json_object(_nested(below_it)))
    return found

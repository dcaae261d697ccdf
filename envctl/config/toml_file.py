"""`[tool.envctl]` with the line of every key: `pyproject.toml`."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from envctl.errors import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from envctl.config.validation import Place

_PREFIX = ("tool", "envctl")
_POSITION = re.compile(r"(?P<message>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)$", re.DOTALL)
_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEYS = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_TABLE = re.compile(rf"\s*\[\s*(?P<keys>{_KEYS})\s*\]")
_ENTRY = re.compile(rf"\s*(?P<keys>{_KEYS})\s*=")


def parse(text: str, file: Path) -> tuple[dict[str, object], dict[Place, int], list[Problem]]:
    """The table's values, the line of each place, and what is wrong with the text itself."""
    try:
        tool = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        return {}, {}, [_broken(error, file)]
    table = tool.get("envctl") if isinstance(tool, dict) else None
    if not isinstance(table, dict):
        found = "has no table [tool.envctl]" if table is None else "tool.envctl must be a table"
        return {}, {}, [Problem(found, file=file)]
    return table, _lines(text), []


def _broken(error: tomllib.TOMLDecodeError, file: Path) -> Problem:
    match = _POSITION.match(str(error))
    if match is None:
        # "at end of document": the position is the file's end, which says no more than the file's name.
        return Problem(f"broken TOML: {error}", file=file)
    message = f"broken TOML: {match['message']} (column {match['column']})"
    return Problem(message, file=file, line=int(match["line"]))


def _lines(text: str) -> dict[Place, int]:
    """The line of every table header and key below `tool.envctl`, which tomllib does not tell.

    Reads line by line; a line inside a multi-line string that looks like a key can shift a number, never a value.
    """
    table: Place = ()
    lines: dict[Place, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        header, entry = _TABLE.match(line), _ENTRY.match(line)
        if header:
            table = place = _split(header["keys"])
        elif entry:
            place = (*table, *_split(entry["keys"]))
        else:
            continue
        if place[:2] == _PREFIX:
            lines.setdefault(place[2:], number)
    return lines


def _split(keys: str) -> Place:
    return tuple(key.strip("\"'") for key in re.findall(_KEY, keys))

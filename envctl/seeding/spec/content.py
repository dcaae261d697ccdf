"""What can be said of data files before anything is loaded; read line by line, whatever their size."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from envctl.seeding.spec.topics import message_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from envctl.config.validation import Place
    from envctl.seeding.spec.draft import Draft

LONGEST_LINE = 16 * 2**20
"""Bytes of a line; Kafka takes messages of 1 MB unless told otherwise, and PostgreSQL's rows are smaller still."""

_FIRST_LINES = 1000
"""Lines of a table's file that are looked at: its loader reads the rest, and names the line of what is wrong."""

_MOST_PROBLEMS = 10
_PARQUET = b"PAR1"


def _no_json(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_json)
"""Made once: `json.loads` makes one for every line that wants more than the usual."""


def judge_table(draft: Draft, place: Place, file: Path, kind: str) -> None:
    """A file that fills a table: it begins as its kind does."""
    if kind == "csv":
        _judge_csv(draft, place, file)
    elif kind == "jsonl":
        _judge_lines(
            draft, place, file, lambda row: "" if isinstance(row, dict) else "must be a JSON object", _FIRST_LINES
        )
    else:
        with file.open("rb") as opened:
            if opened.read(4) != _PARQUET:
                draft.problem(place, f"is no Parquet file: {file}")


def judge_messages(draft: Draft, place: Place, file: Path, partitions: int, *, keyed: bool) -> None:
    """A file that fills a topic: every line of it."""
    _judge_lines(draft, place, file, lambda message: message_problem(message, partitions, keyed=keyed))


def _judge_lines(
    draft: Draft, place: Place, file: Path, problem: Callable[[Any], str], most: int | None = None
) -> None:
    found = 0
    for number, line in _lines(file):
        if most is not None and number > most:
            return
        message = _line_problem(line, problem)
        if message:
            draft.wrong_in(file, place, number, message)
            found += 1
        if found == _MOST_PROBLEMS:
            draft.problem(place, f"more of the kind may follow in {file}")
            return


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    with file.open("rb") as opened:
        number = 0
        while line := opened.readline(LONGEST_LINE + 1):
            number += 1
            yield number, line
            if len(line) > LONGEST_LINE:
                return


def _line_problem(line: bytes, problem: Callable[[Any], str]) -> str:
    if len(line) > LONGEST_LINE:
        return f"is longer than {LONGEST_LINE} bytes"
    if not line.strip():
        return ""
    try:
        return problem(_DECODER.decode(line.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        return f"is no UTF-8 text (byte {error.start})"
    except RecursionError:
        return "is nested too deeply"
    except ValueError as error:
        return f"broken JSON: {error}"


def _judge_csv(draft: Draft, place: Place, file: Path) -> None:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.reader(opened, strict=True)
            header = next(rows, [])
            if not any(header) or "" in header or len(set(header)) < len(header):
                found = ", ".join(header) or "nothing"
                draft.wrong_in(file, place, 1, f"the first line must name each column once; found {found}")
                return
            for row in rows:
                if len(row) != len(header):
                    message = f"has {len(row)} values; the first line names {len(header)} columns"
                    draft.wrong_in(file, place, rows.line_num, message)
                    return
                if rows.line_num > _FIRST_LINES:
                    return
    except UnicodeDecodeError as error:
        draft.problem(place, f"is no UTF-8 text (byte {error.start}): {file}")
    except csv.Error as error:
        draft.wrong_in(file, place, rows.line_num, f"broken CSV: {error}")

"""What is written, and where: data and words on stdout, errors on stderr, JSON alone on stdout with `--json`."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from envctl.events import now

if TYPE_CHECKING:
    from collections.abc import Mapping


class StdoutClosed(Exception):
    """Nobody reads any more (`envctl logs | head`): the work of a verb that only shows is over."""


def show(text: str) -> None:
    """Write a line of data to stdout.

    Raises:
        StdoutClosed: the reader has gone.

    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _discard_stdout()
        raise StdoutClosed from None


def show_json(document: object, *, compact: bool = False) -> None:
    """Write one JSON document, indented for readers, or on one line where more follow."""
    show(json.dumps(document, ensure_ascii=False, default=str, indent=None if compact else 2))


def show_event(event: str, data: Mapping[str, object]) -> None:
    """Write one event as one JSON line: `{"at": …, "event": …, …}`."""
    show_json({"at": now(), "event": event, **data}, compact=True)


def complain(text: str) -> None:
    """Write words for people to stderr."""
    print(text, file=sys.stderr, flush=True)


def colour(text: str, **style: str | bool) -> str:
    """`text` with terminal colours where stdout is a terminal that wants them, else as it is."""
    if not is_terminal():
        return text
    import click

    return click.style(text, **style)  # type: ignore[arg-type]


def is_terminal() -> bool:
    """Whether people look on while it happens: no pipe, no CI, no NO_COLOR, no dumb terminal."""
    if os.environ.get("NO_COLOR") or os.environ.get("CI") or os.environ.get("TERM") == "dumb":
        return False
    return all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))


def table(header: list[str], rows: list[list[str]]) -> str:
    """Left-aligned columns, two spaces apart; the widths are of the text without colours."""
    cells = [header, *rows]
    widths = [max(_width(row[column]) for row in cells) for column in range(len(header))]
    first, *others = ("  ".join(map(_padded, row, widths)).rstrip() for row in cells)
    return "\n".join([colour(first, bold=True), *others])


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - _width(cell))


def _width(cell: str) -> int:
    import click

    return len(click.unstyle(cell))


def _discard_stdout() -> None:
    """What Python still holds for stdout goes nowhere, so that its flush at exit does not fail too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)

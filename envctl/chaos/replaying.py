"""Repeating an earlier injection: its parameters, its seed, and what chance decided then."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from envctl.journal import Journal


@dataclass(frozen=True, slots=True)
class Earlier:
    """What of an earlier injection is repeated."""

    id: str
    fault: str
    service: str
    parameters: dict[str, Any]
    seed: int
    choices: dict[str, Any]


def earlier(journal: Journal, what: str | Path) -> Earlier:
    """An injection by its id, or from a file that holds its record (`chaos … --json`, `chaos status --json`).

    Raises:
        UsageError: there is no such injection, or the file holds none.

    """
    path = Path(what)
    if path.is_file():
        return _from_file(path)
    try:
        entry = journal.find(str(what))
    except UnknownName as error:
        raise UsageError(
            "an earlier injection to repeat: its id, or a file with its record",
            f"neither a file nor an id known here: {what}",
            error.advice,
        ) from error
    return Earlier(entry.id, entry.fault, entry.service, entry.parameters, entry.seed, entry.choices)


def _from_file(path: Path) -> Earlier:
    """The last record in a file of JSON, or of JSON lines."""
    fields = Earlier.__dataclass_fields__
    for line in [path.read_text(), *reversed(path.read_text().splitlines())]:
        try:
            data = json.loads(line)
        except ValueError:
            continue
        if isinstance(data, dict) and fields.keys() <= data.keys():
            return Earlier(**{key: data[key] for key in fields})
    raise UsageError(
        "a file with the record of an injection",
        f"{path} holds none (it must have {', '.join(fields)})",
        "write one with `envctl --json chaos FAULT SERVICE > FILE`",
    )

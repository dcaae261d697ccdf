"""The history of one run: JSON lines on one clock, written while it goes on; and what two of them have in common."""

from __future__ import annotations

import difflib
import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.errors import UsageError
from envctl.events import emit, now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Line = Mapping[str, Any]

STARTED = "scenario.started"

_STABLE: dict[str, tuple[str, ...]] = {
    STARTED: ("scenario", "digest", "seed"),
    "scenario.chosen": ("what", "value"),
    "scenario.step": ("place", "kind"),
    "scenario.fault": ("place", "fault", "service", "parameters", "seed", "choices"),
    "scenario.lifted": ("place", "stage"),
    "scenario.work": ("place", "work"),
    "scenario.worked": ("place", "work", "ok"),
    "scenario.steady": ("ok",),
    "scenario.recovered": ("ok",),
    "scenario.verdict": ("outcome",),
    "probe.held": ("probe", "role"),
    "probe.failed": ("probe", "role"),
    "fault.planned": ("fault", "service", "seed", "choices"),
    "fault.applied": ("fault", "service"),
    "fault.injected": ("fault", "service"),
    "fault.healed": ("fault", "service"),
    "fault.lost": ("fault", "service"),
    "fault.refused": ("fault", "service"),
}
"""What of an event is decided by the scenario and the seed, and by no clock."""

_MAIN = "steps"


class History:
    """Writes lines to a file, to whoever listens to events, and keeps them."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lines: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        _require_ours(file)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            # A scenario may hold a team's own secrets: nobody else reads it.
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._stream = os.fdopen(descriptor, "w")
        except OSError as error:
            raise UsageError("a file for the history", f"{file}: {error.strerror}", "name another one") from error

    def say(self, event: str, **facts: object) -> None:
        """Add a line: now, and what happened; and tell whoever listens."""
        self.note(event, **facts)
        emit(event, **{name: fact for name, fact in facts.items() if name != "document"})

    def note(self, event: str, **facts: object) -> None:
        """Add a line, and tell nobody."""
        with self._lock:
            line = {"at": now(), "monotonic": round(time.monotonic(), 6), "event": event, "pid": os.getpid(), **facts}
            self._lines.append(line)
            if not self._stream.closed:
                self._stream.write(_text(line))
                self._stream.flush()

    def lines(self) -> list[dict[str, Any]]:
        """Its own lines so far."""
        with self._lock:
            return list(self._lines)

    def close(self, others: Iterable[Line]) -> None:
        """Write all of it by the clock, with the lines of others: of faults, and of clients' operations."""
        with self._lock:
            self._stream.close()
            whole = sorted([*self._lines, *others], key=lambda line: line["monotonic"])
            draft = self.file.with_name(f".{self.file.name}.{os.getpid()}")
            try:
                descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "w") as stream:
                    stream.writelines(map(_text, whole))
                draft.replace(self.file)
            except FileNotFoundError:
                pass  # its folder went with its environment


def read(file: str | Path) -> list[dict[str, Any]]:
    """The lines of a history.

    Raises:
        UsageError: the file is none.

    """
    path = Path(file)
    try:
        texts = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise _none(path, str(error.strerror).lower()) from error
    except ValueError as error:
        raise _none(path, "is no UTF-8 text") from error
    lines = [_line(path, number, text) for number, text in enumerate(texts, 1) if text.strip()]
    if not lines or not all(isinstance(line, dict) and "event" in line for line in lines):
        raise _none(path, "no line of a history is in it")
    if all(line["event"] != STARTED for line in lines):
        raise _none(path, f"it has no line `{STARTED}`: its beginning is missing")
    return lines


def _line(path: Path, number: int, text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(text)
    except ValueError as error:
        raise _none(path, f"line {number} is no JSON: is the file whole?") from error


def story(lines: Iterable[Line]) -> dict[str, list[str]]:
    """What happened in which order, without times, ids and measured values: a list for each row of steps, because
    those that went on at once have no order among them.
    """
    told: dict[str, list[str]] = {}
    known = list(lines)
    tracks = {line["id"]: line.get("track", _MAIN) for line in known if line["event"] == "scenario.fault"}
    for line in known:
        keys = _STABLE.get(line["event"])
        # How often it was asked meanwhile, and what it said, is a matter of time.
        if keys is None or line.get("role") == "during":
            continue
        facts = {key: line[key] for key in keys if key in line}
        track = line.get("track") or tracks.get(line.get("id"), _MAIN)
        told.setdefault(track, []).append(f"{line['event']} {json.dumps(facts, sort_keys=True)}")
    return told


def differences(first: Sequence[Line], second: Sequence[Line]) -> list[str]:
    """Where two histories tell different stories, line by line as a diff does; empty when they tell the same."""
    one, other = story(first), story(second)
    found: list[str] = []
    for track in sorted(one.keys() | other.keys()):
        diff = difflib.unified_diff(one.get(track, []), other.get(track, []), "first", "second", lineterm="", n=0)
        found += [f"{track}: {line}" for line in list(diff)[2:] if not line.startswith("@@")]
    return found


def _text(line: Line) -> str:
    return json.dumps(line, default=str, ensure_ascii=False) + "\n"


def _require_ours(file: Path) -> None:
    """Refuse to write over what is not a history."""
    if not file.exists() or (file.is_file() and not file.stat().st_size):
        return
    try:
        read(file)
    except UsageError as error:
        raise UsageError(
            "a file for the history",
            f"{file} is there, and is no history ({error.found})",
            "name another one: it would be lost",
        ) from error


def _none(path: Path, why: str) -> UsageError:
    return UsageError(
        "the history of an earlier run", f"{path}: {why}", "write one with `envctl chaos run … --history FILE`"
    )

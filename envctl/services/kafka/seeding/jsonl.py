"""Records from a file of JSON lines: `{"key": …, "value": …, "headers": {…}, "timestamp": …, "partition": …}`.

Each part may be missing. What is no text becomes JSON text; null is no key, a tombstone, or no header. `timestamp` is
Unix milliseconds or an ISO 8601 time (UTC unless it says otherwise).
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from envctl.errors import ConfigurationError, Problem
from envctl.seeding import arrow
from envctl.seeding.loading import Size
from envctl.services.kafka.seeding.batches import Records, Values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from envctl.seeding.spec import Topic

_PARTS = frozenset({"key", "value", "headers", "timestamp", "partition"})
_LINES = 4096
_BYTES = 4 << 20
"""Lines of a chunk, and bytes of lines, at most."""

_REPORTED = 20
"""Problems that are told at once."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

Line = tuple[bytes | None, bytes | None, dict[str, bytes], int, int]
"""Key, value, headers that are there, milliseconds or -1, partition or -1."""


def size(topic: Topic) -> Size:
    """Records and bytes of the file; looks at every line.

    Raises:
        ConfigurationError: with the first problems, or because the file cannot be read.

    """
    rows = total = 0
    problems: list[Problem] = []
    for count, line in _lines(topic):
        rows, total = rows + 1, total + len(line)
        try:
            _parsed(topic, line)
        except ValueError as error:
            problems.append(_problem(topic, count, error))
            if len(problems) >= _REPORTED:
                break
    if problems:
        raise ConfigurationError(problems, "a valid dataset")
    return Size(rows, total)


def chunks(topic: Topic) -> Iterator[Records]:
    """The records, some thousand lines at a time.

    Raises:
        ConfigurationError: a line is none.

    """
    held: list[Line] = []
    held_bytes = 0
    for count, line in _lines(topic):
        try:
            held.append(_parsed(topic, line))
        except ValueError as error:
            raise ConfigurationError([_problem(topic, count, error)], "a valid dataset") from error
        held_bytes += len(line)
        if len(held) >= _LINES or held_bytes >= _BYTES:
            yield _records(held)
            held, held_bytes = [], 0
    if held:
        yield _records(held)


def _lines(topic: Topic) -> Iterator[tuple[int, bytes]]:
    """The file's lines with their numbers, without blank ones."""
    file = _file(topic)
    try:
        with file.open("rb") as opened:
            yield from ((count, line) for count, line in enumerate(opened, 1) if not line.isspace())
    except OSError as error:
        problem = Problem(f"cannot be read: {error.strerror}", f"kafka.topics.{topic.name}.jsonl", file)
        raise ConfigurationError([problem], "a valid dataset") from error


def _parsed(topic: Topic, line: bytes) -> Line:
    """One line's record; ValueError says what is wrong with it."""
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(  # noqa: TRY004 - a value of the user's
            f"must be a JSON object with {', '.join(sorted(_PARTS))}"
        )
    if unknown := found.keys() - _PARTS:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(_PARTS))}")
    key, headers = _bytes(found.get("key")), found.get("headers") or {}
    if key is None and "compact" in topic.config.get("cleanup.policy", ""):
        raise ValueError("has no key, and a compacted topic takes none without")
    if not isinstance(headers, dict):
        raise ValueError("headers must be an object of name and value")  # noqa: TRY004 - a value of the user's
    there = {name: value for name, given in headers.items() if (value := _bytes(given)) is not None}
    return key, _bytes(found.get("value")), there, _milliseconds(found.get("timestamp")), _partition(topic, found)


def _bytes(value: Any) -> bytes | None:  # noqa: ANN401 - JSON
    if value is None or isinstance(value, str):
        return None if value is None else value.encode()
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _milliseconds(value: object) -> int:
    if value is None:
        return -1
    if isinstance(value, str):
        moment = dt.datetime.fromisoformat(value)
        value = ((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)) - _EPOCH) // dt.timedelta(milliseconds=1)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError(f"timestamp {value!r} is neither milliseconds since 1970 nor an ISO 8601 time after it")
    return value


def _partition(topic: Topic, found: dict[str, Any]) -> int:
    number = found.get("partition")
    if number is None:
        return -1
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < topic.partitions:
        raise ValueError(f"partition {number!r} is none of 0 to {topic.partitions - 1}")
    return number


def _records(lines: list[Line]) -> Records:
    keys, values, headers, times, places = zip(*lines, strict=True)
    names = dict.fromkeys(itertools.chain.from_iterable(headers))
    return Records(
        _values(keys),
        _values(values),
        [(name, _values([given.get(name) for given in headers])) for name in names],
        np.array(times, np.int64),
        np.array(places, np.int64),
    )


def _values(found: Iterable[bytes | None]) -> Values:
    items = list(found)
    valid = np.array([item is not None for item in items], np.bool_)
    return Values(arrow.binaries(item or b"" for item in items), None if valid.all() else valid)


def _problem(topic: Topic, line: int, error: ValueError) -> Problem:
    return Problem(str(error), f"kafka.topics.{topic.name}", _file(topic), line)


def _file(topic: Topic) -> Path:
    if topic.file is None:
        raise ValueError(f"topic {topic.name} has no file")
    return topic.file

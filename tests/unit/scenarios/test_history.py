"""Histories: what is none is refused with its reason, and two are compared without clocks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from envctl.errors import UsageError
from envctl.scenarios import replaying
from envctl.scenarios.history import History, differences, read

if TYPE_CHECKING:
    from pathlib import Path

STARTED: dict[str, Any] = {
    "event": "scenario.started",
    "scenario": "one",
    "digest": "d",
    "seed": 1,
    "folder": "/",
    "document": {},
    "monotonic": 1.0,
}
FAULT: dict[str, Any] = {
    "event": "scenario.fault",
    "id": "pause-1",
    "place": "steps.0",
    "fault": "pause",
    "service": "redis",
    "parameters": {},
    "seed": 5,
    "choices": {"which": 3},
    "track": "steps",
    "monotonic": 2.0,
}


def write(file: Path, *lines: object) -> Path:
    """A file with these lines."""
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "no such file"),
        ("", "no line of a history"),
        ("[]\n", "no line of a history"),
        ("{}\n", "no line of a history"),
        ('{"event": "a"}\n{half', "line 2 is no JSON: is the file whole"),
        ('{"event": "fault.healed"}\n', "its beginning is missing"),
        ('{"event": "scenario.started"}\n', "a line lacks 'scenario'"),
    ],
)
def test_what_is_no_history_cannot_be_repeated(tmp_path: Path, text: str | None, told: str) -> None:
    """Not there, empty, something else, or without its beginning."""
    file = tmp_path / "told.jsonl"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError) as caught:
        replaying.past(file)
    assert told in caught.value.found


def test_what_was_decided_is_read(tmp_path: Path) -> None:
    """Choices of the run by their names, those of faults by their places."""
    chosen = {"event": "scenario.chosen", "what": "steps.0.seed", "value": 5}
    past = replaying.past(write(tmp_path / "told.jsonl", STARTED, chosen, FAULT))
    assert (past.seed, past.choices, past.of_faults) == (1, {"steps.0.seed": 5}, {"steps.0": {"which": 3}})


def test_times_ids_and_measured_values_do_not_count() -> None:
    """What does: which fault, where, with which choices, in which order."""
    later = {**FAULT, "id": "pause-2", "monotonic": 99.0, "at": "later", "pid": 7}
    asked = {"event": "probe.failed", "probe": "alive", "role": "during", "problem": "slow"}
    assert differences([STARTED, FAULT], [{**STARTED, "monotonic": 7.0}, asked, later]) == []
    [gone, come] = differences([STARTED, FAULT], [STARTED, {**FAULT, "service": "postgres"}])
    assert (gone.startswith("steps: -scenario.fault"), '"postgres"' in come) == (True, True)
    assert differences([STARTED, FAULT], [FAULT, STARTED])


def test_rows_of_steps_that_go_on_at_once_have_no_order_among_them() -> None:
    """A fault's own lines belong to the row that injected it."""
    other = {**FAULT, "id": "pause-9", "place": "steps.1", "track": "steps.1"}
    mine, its = (
        {"event": "fault.healed", "id": name, "fault": "pause", "service": "redis"} for name in ("pause-1", "pause-9")
    )
    assert differences([FAULT, other, mine, its], [other, FAULT, its, mine]) == []
    assert differences([FAULT, mine], [mine, FAULT])


def test_a_file_that_is_no_history_is_not_written_over(tmp_path: Path) -> None:
    """An earlier history is; nobody else may read it."""
    precious = tmp_path / "precious.yaml"
    precious.write_text("steps: []\n")
    with pytest.raises(UsageError, match="is no history"):
        History(precious)
    file = write(tmp_path / "told.jsonl", STARTED)
    history = History(file)
    history.say("scenario.started", scenario="two")
    history.close([{"event": "fault.healed", "monotonic": 0.0}])
    assert [line["event"] for line in map(json.loads, file.read_text().splitlines())] == [
        "fault.healed",
        "scenario.started",
    ]
    assert file.stat().st_mode & 0o077 == 0
    assert read(file)[1]["scenario"] == "two"
    with pytest.raises(UsageError, match="name another one"):
        History(tmp_path / "precious.yaml" / "below.jsonl")

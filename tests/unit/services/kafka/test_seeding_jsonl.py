"""Topics from files of JSON lines: what a line may be, and how a wrong one is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.errors import ConfigurationError
from envctl.seeding.spec import Topic
from envctl.services.kafka.seeding import jsonl

if TYPE_CHECKING:
    from pathlib import Path


def _topic(tmp_path: Path, *lines: str, **settings: str) -> Topic:
    file = tmp_path / "audit.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return Topic("audit", 3, {k.replace("_", "."): v for k, v in settings.items()}, file=file)


def test_a_line_becomes_a_record(tmp_path: Path) -> None:
    """Text as it is, anything else as JSON text, times as milliseconds."""
    line = '{"key": 7, "value": {"a": [1, "ü"]}, "headers": {"h": "x", "n": 1, "gone": null},'
    line += ' "timestamp": "2026-01-31T12:00:00.5Z", "partition": 2}'
    (found,) = jsonl.chunks(_topic(tmp_path, line))
    assert found.keys.bytes.to_pylist() == [b"7"]
    assert found.values.bytes.to_pylist() == ['{"a":[1,"ü"]}'.encode()]
    assert [(name, values.bytes.to_pylist()) for name, values in found.headers] == [("h", [b"x"]), ("n", [b"1"])]
    assert (found.timestamps.tolist(), found.partitions.tolist()) == ([1769860800500], [2])


def test_what_is_missing_is_null(tmp_path: Path) -> None:
    """No key, a tombstone, no time, a partition of Kafka's choice."""
    (found,) = jsonl.chunks(_topic(tmp_path, "{}", '{"key": "k", "value": null}'))
    assert found.keys.valid is not None
    assert found.keys.valid.tolist() == [False, True]
    assert found.values.valid is not None
    assert found.values.valid.tolist() == [False, False]
    assert (found.timestamps.tolist(), found.partitions.tolist()) == ([-1, -1], [-1, -1])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is no JSON"),
        ("[1]", "must be a JSON object"),
        ('{"kei": 1}', "unknown: kei; known: headers, key, partition, timestamp, value"),
        ('{"headers": [1]}', "headers must be an object"),
        ('{"timestamp": "yesterday"}', "Invalid isoformat string"),
        ('{"timestamp": -5}', "neither milliseconds since 1970"),
        ('{"timestamp": true}', "neither milliseconds since 1970"),
        ('{"partition": 3}', "partition 3 is none of 0 to 2"),
        ('{"value": "\\ud800"}', "surrogates not allowed"),
    ],
)
def test_a_wrong_line_is_named_with_its_file_and_number(tmp_path: Path, line: str, said: str) -> None:
    """Before anything is loaded (size), and by whoever reads on regardless."""
    topic = _topic(tmp_path, "{}", "", line, "{}")
    for read in (lambda: jsonl.size(topic), lambda: list(jsonl.chunks(topic))):
        with pytest.raises(ConfigurationError, match=said) as caught:
            read()
        assert f"{tmp_path / 'audit.jsonl'}:3: kafka.topics.audit" in str(caught.value)


def test_all_wrong_lines_are_told_at_once(tmp_path: Path) -> None:
    """Up to twenty."""
    with pytest.raises(ConfigurationError) as caught:
        jsonl.size(_topic(tmp_path, *["{"] * 50))
    assert [problem.line for problem in caught.value.problems] == list(range(1, 21))


def test_a_compacted_topic_wants_keys(tmp_path: Path) -> None:
    """The broker would refuse the whole batch."""
    with pytest.raises(ConfigurationError, match="has no key, and a compacted topic takes none without"):
        jsonl.size(_topic(tmp_path, '{"value": "x"}', cleanup_policy="compact"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With the dataset's key."""
    topic = Topic("audit", file=tmp_path / "none.jsonl")
    with pytest.raises(ConfigurationError, match=r"none.jsonl: kafka.topics.audit.jsonl: cannot be read"):
        jsonl.size(topic)

"""Many logs as one."""

from __future__ import annotations

import pytest

from envctl.errors import EngineError
from envctl.logs import following, merged
from tests.unit.fake_engine import FakeEngine, container

REDIS, KAFKA = container("redis"), container("kafka")


@pytest.fixture
def engine() -> FakeEngine:
    """Two services that wrote in turns."""
    lines = {"redis": ["t1 one", "t3 three", "t3 again"], "kafka": ["t2 two", "t4 four"]}
    return FakeEngine(lines=lines).put(REDIS, KAFKA)


def test_lines_come_in_the_order_of_the_engines_clock(engine: FakeEngine) -> None:
    """Whatever service wrote them; lines of one moment stay as they were written."""
    lines = merged(engine, [REDIS, KAFKA], None, None)

    assert [(line.service, line.text) for line in lines] == [
        ("redis", "one"),
        ("kafka", "two"),
        ("redis", "three"),
        ("redis", "again"),
        ("kafka", "four"),
    ]


def test_tail_counts_for_each_service(engine: FakeEngine) -> None:
    """A talkative one does not push the others out."""
    assert [line.text for line in merged(engine, [REDIS, KAFKA], 1, None)] == ["again", "four"]


def test_following_ends_when_every_container_has_ended(engine: FakeEngine) -> None:
    """All lines of all, each service's own in order."""
    lines = list(following(engine, [REDIS, KAFKA], None, None))

    assert [line.text for line in lines if line.service == "redis"] == ["one", "three", "again"]
    assert [line.text for line in lines if line.service == "kafka"] == ["two", "four"]
    assert list(following(engine, [], None, None)) == []


def test_a_stream_that_breaks_is_an_error_for_the_reader(engine: FakeEngine) -> None:
    """It does not end in silence."""
    engine.broken["follow kafka"] = EngineError("the log", "the engine went away")
    with pytest.raises(EngineError, match="the log"):
        list(following(engine, [REDIS, KAFKA], None, None))

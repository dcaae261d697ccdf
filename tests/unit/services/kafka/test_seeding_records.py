"""Records of a relation: their parts, their places, and what is refused."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envctl.errors import SeedFailed
from envctl.seeding.spec import Dataset, Relation, Topic
from envctl.seeding.world import World
from envctl.services.kafka.seeding import records
from envctl.services.kafka.seeding.admin import Found
from envctl.services.kafka.seeding.ahead import ahead
from envctl.services.kafka.seeding.topics import conflict, effective

COLUMNS = {
    "id": "row + 1",
    "at": "moment('2025-01-01', '2026-01-01')",
    "name": 'f"name-{id:05}" if id % 3 != 0 else None',
    "place": "id % 4 if id % 2 == 0 else None",
}


def _topic(rows: int = 1000, **given: Any) -> tuple[World, Topic]:  # noqa: ANN401 - Topic's own
    topic = Topic(**{"name": "events", "partitions": 4, "relation": "events", "value": "text(id)", **given})
    dataset = Dataset("test", Path("test.yaml"), relations={"events": Relation("events", COLUMNS, rows=rows)})
    return World(dataset), topic


def _all(world: World, topic: Topic, part: str) -> list[Any]:
    return [item for chunk in records.chunks(world, topic) for item in getattr(chunk, part).tolist()]


def test_records_without_a_key_go_round() -> None:
    """One after the other, also over chunks."""
    assert _all(*_topic(), "partitions") == [row % 4 for row in range(1000)]


def test_a_partition_that_is_said_wins_and_null_leaves_it_to_the_key() -> None:
    """Even ids say one."""
    found = _all(*_topic(key="name", partition="place"), "partitions")
    by_key = _all(*_topic(key="name"), "partitions")
    assert found == [(row + 1) % 4 if row % 2 else by_key[row] for row in range(1000)]


def test_times_are_milliseconds_and_none_is_minus_one() -> None:
    """Nothing is invented where the dataset says nothing."""
    world, topic = _topic(timestamp="at")
    at = world.chunk("events", 0).column("at").numbers
    assert _all(world, topic, "timestamps") == (at // 1000).tolist()
    assert _all(*_topic(), "timestamps") == [-1] * 1000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"partition": "id"}, r"record 3 \(from 0\) is for partition 4 of 4"),
        ({"partition": "0 - id"}, "partition: is below 0"),
        ({"partition": "name"}, "text stands where a whole number must"),
        ({"timestamp": "name"}, "timestamp: text stands where a time"),
        ({"timestamp": "0 - id"}, "no time before 1970"),
        ({"value": "nothing"}, "has no column 'nothing'"),
        ({"key": "name", "config": {"cleanup.policy": "compact"}}, r"record 2 \(from 0\) has no key"),
    ],
)
def test_what_cannot_be_in_the_topic_is_refused_with_its_place(given: dict[str, Any], said: str) -> None:
    """Topic and relation are named."""
    with pytest.raises(SeedFailed, match=said) as caught:
        list(records.chunks(*_topic(**given)))
    assert caught.value.wanted == "topic events filled from relation 'events'"


def test_a_topics_size_is_told_without_making_all_of_it() -> None:
    """Rows exactly, bytes nearly."""
    world, topic = _topic(rows=200_000, key="name", headers={"h": "text(id)"})
    told = records.size(world, topic)
    made = [batch for batches in records.batches(world, topic) for batch in batches]
    assert told.rows == sum(batch.count for batch in made) == 200_000
    assert told.bytes == pytest.approx(sum(batch.size for batch in made), rel=0.05)


def test_large_records_make_small_chunks() -> None:
    """What is held at one time does not grow with the records."""
    world, topic = _topic(rows=4000, value=f'f"{"x" * 20_000}{{id}}"')
    assert max(len(chunk) for chunk in records.chunks(world, topic)) <= records.CHUNK_BYTES // 20_000


def test_filled_topics_keep_old_events_unless_the_dataset_says_otherwise() -> None:
    """An empty topic gets no setting that the dataset does not name."""
    _, topic = _topic(config={"retention.ms": "1000"})
    assert effective(topic).config["retention.ms"] == "1000"
    assert effective(Topic("filled", relation="events")).config["retention.ms"] == "-1"
    assert effective(Topic("empty")).config == {}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Found(4, {}, [0, 0, 0, 0], [0, 0, 0, 0]), ""),
        (Found(1, {}, [0], [0]), ""),
        (Found(4, {"segment.bytes": "1000"}, [0], [0]), ""),
        (Found(1, {"segment.bytes": "1000"}, [0], [0]), "has 1 partitions with segment.bytes=1000"),
        (Found(4, {"a": "b"}, [0], [0]), "the dataset wants 4 with segment.bytes=1000"),
        (Found(4, {}, [0, 0, 0, 0], [0, 0, 2, 0]), "holds 2 records of somebody else's"),
        (Found(1, {}, [5], [5]), "held records of somebody else's"),
    ],
)
def test_a_topic_of_somebody_elses_is_in_the_way_if_it_holds_or_says_something(found: Found, said: str) -> None:
    """What a client's question alone created may be replaced."""
    told = conflict(Topic("events", 4, {"segment.bytes": "1000"}), found)
    assert said in told
    assert bool(told) == bool(said)


def test_items_made_ahead_are_the_same_and_errors_come_at_their_place() -> None:
    """As if they were made by the one who takes them."""

    def items() -> Any:  # noqa: ANN401 - a generator
        yield from range(5)
        raise ValueError("the sixth")

    taken = []
    with pytest.raises(ValueError, match="the sixth"):
        taken.extend(ahead(items()))
    assert taken == [0, 1, 2, 3, 4]


def test_closing_ends_the_thread_that_makes_ahead() -> None:
    """Also in the middle of an endless row."""
    made = ahead(iter(lambda: np.zeros(1), None))
    next(made)
    made.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "kafka-ahead"]

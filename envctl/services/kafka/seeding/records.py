"""A topic's records, chunk by chunk: from the relation that the dataset names, or from its file."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa

from envctl.errors import SeedFailed
from envctl.seeding.column import TEXTUAL, Column, Kind, constant, lengths
from envctl.seeding.loading import Size
from envctl.seeding.operators import number
from envctl.seeding.texts import text
from envctl.seeding.world import CHUNK_SLOTS, WorldError
from envctl.services.kafka.seeding import jsonl
from envctl.services.kafka.seeding.batches import LIMIT, Records, Values, encode
from envctl.services.kafka.seeding.murmur2 import partitions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from envctl.seeding.spec import Topic
    from envctl.seeding.world import Chunk, World
    from envctl.services.kafka.seeding.batches import Batch

    Integers = NDArray[np.int64]

CHUNK_BYTES = 2 << 20
"""Bytes of keys, values and headers of a chunk, about: what is held at one time is some of these."""

_SAMPLES, _SAMPLED = 8, 32
"""Where in a relation, and how many of its rows there, are looked at to guess the bytes of a row."""

_KNOWN: WeakKeyDictionary[World, dict[str, tuple[int, int]]] = WeakKeyDictionary()
"""What was sampled, by topic."""

_OWN_BYTES, _TIME_BYTES = 8, 4
"""What a record has besides key, value and headers, about; and more if it has a time."""

_HEADER_BYTES = 2
"""What a header has besides its name and value."""

NO_TIME = -1
"""Kafka's word for a record without a time: where the dataset gives none, the load must not invent one."""


def compacted(topic: Topic) -> bool:
    """Whether the broker keeps the last record of each key only, for which each record needs a key."""
    return "compact" in topic.config.get("cleanup.policy", "")


def limit(topic: Topic) -> int:
    """Bytes of a batch that the topic takes: a batch is one message to the broker, and lies in one segment."""
    return min(LIMIT, *(int(topic.config.get(name, LIMIT)) for name in ("max.message.bytes", "segment.bytes")))


def size(world: World, topic: Topic) -> Size:
    """How much a topic gets: rows as they are, bytes of generated ones from a sample."""
    if topic.file:
        return jsonl.size(topic)
    if not topic.relation:
        return Size(0, 0)
    own = _OWN_BYTES + (_TIME_BYTES if topic.timestamp else 0)
    rows, (sampled, sampled_bytes) = world.rows(topic.relation), _sample(world, topic)
    return Size(rows, rows * sampled_bytes // max(1, sampled) + rows * own)


def batches(world: World, topic: Topic) -> Iterator[list[Batch]]:
    """All batches of a topic, chunk by chunk; the same each time.

    Raises:
        SeedFailed: a value cannot be made, or is no key, partition or time for this topic.
        ConfigurationError: a line of the file is none.

    """
    ends = np.zeros(topic.partitions, np.int64)
    return (encode(chunk, ends, limit(topic)) for chunk in chunks(world, topic))


def chunks(world: World, topic: Topic) -> Iterator[Records]:
    """All records in order; raises as `batches`."""
    seen = 0
    for records in jsonl.chunks(topic) if topic.file else _generated(world, topic):
        yield _placed(topic, records, seen)
        seen += len(records)


def _generated(world: World, topic: Topic) -> Iterator[Records]:
    if not topic.relation:
        return
    rows, step = _root(world, topic.relation)
    spans = _spans(rows)
    sampled = sum(stop - start for start, stop in spans)
    step = max(1, min(step, CHUNK_BYTES * sampled // max(1, _sample(world, topic)[1])))
    for start in range(0, rows, step):
        chunk = world.range(topic.relation, start, min(rows, start + step))
        if len(chunk):
            yield _records(chunk, topic)


def _root(world: World, relation: str) -> tuple[int, int]:
    """Rows of the topmost parent, and how many of them a chunk has at most."""
    slots, spec = 1, world.relation(relation)
    while spec.per:
        slots, spec = slots * max(1, spec.most), world.relation(spec.per)
    return spec.rows, max(1, CHUNK_SLOTS // slots)


def _spans(rows: int) -> list[tuple[int, int]]:
    """The topmost parent's rows that are the sample."""
    starts = sorted({rows * i // _SAMPLES for i in range(_SAMPLES)})
    return [(a, min(a + _SAMPLED, b)) for a, b in zip(starts, [*starts[1:], rows], strict=True)]


def _sample(world: World, topic: Topic) -> tuple[int, int]:
    """Rows of a sample, and their bytes; the load asks again what the plan has asked."""
    known = _KNOWN.setdefault(world, {})
    if topic.name not in known:
        known[topic.name] = _sampled(world, topic)
    return known[topic.name]


def _sampled(world: World, topic: Topic) -> tuple[int, int]:
    rows = size = 0
    for start, stop in _spans(_root(world, topic.relation)[0]):
        chunk = world.range(topic.relation, start, stop)
        if len(chunk):
            records = _records(chunk, topic)
            contents = [records.keys, records.values, *(values for _, values in records.headers)]
            names = sum(len(name.encode()) + _HEADER_BYTES for name, _ in records.headers)
            size += sum(int(lengths(c.bytes).sum()) for c in contents) + len(records) * names
            rows += len(records)
    return rows, size


def _records(chunk: Chunk, topic: Topic) -> Records:
    """The records of a chunk of the topic's relation; their partitions are still -1 where none is said."""

    def column(part: str, source: str) -> Column:
        place = f"topic {topic.name} {part}"
        return chunk.expression(place, source) if source else constant(None, len(chunk))

    try:
        key, value = column("key", topic.key), column("value", topic.value)
        headers = [(name, _values(column(f"header {name}", source))) for name, source in topic.headers.items()]
        times = _times(column("timestamp", topic.timestamp))
        places = _places(column("partition", topic.partition))
    except (WorldError, ValueError) as error:
        raise unfit(topic, str(error)) from error
    return Records(_values(key), _values(value), headers, times, places)


def _values(column: Column) -> Values:
    valid = None if column.valid is None or column.valid.all() else column.valid
    strings = column.strings if column.kind in TEXTUAL and valid is None else text(column)
    return Values(strings.cast(pa.binary()), valid)


def _times(column: Column) -> Integers:
    if column.kind is Kind.NULL:
        return np.full(len(column), NO_TIME, np.int64)
    if column.kind not in {Kind.TIME, Kind.INT}:
        raise ValueError(f"timestamp: {column.kind} stands where a time, or whole milliseconds, must")
    milliseconds = column.numbers // 1000 if column.kind is Kind.TIME else column.numbers
    if (milliseconds[_valid(column)] < 0).any():
        raise ValueError("timestamp: Kafka knows no time before 1970")
    return np.where(_valid(column), milliseconds, NO_TIME)


def _places(column: Column) -> Integers:
    """The partitions that are said, -1 where none is."""
    if column.kind is Kind.NULL:
        return np.full(len(column), -1, np.int64)
    if (number(column)[_valid(column)] < 0).any():
        raise ValueError("partition: is below 0")
    return np.where(_valid(column), number(column), -1)


def _placed(topic: Topic, records: Records, seen: int) -> Records:
    """Every record with its partition: the one that is said, that of its key, or (no key) one after the other."""
    keyed = np.ones(len(records), np.bool_) if records.keys.valid is None else records.keys.valid
    if compacted(topic) and not keyed.all():
        row = seen + int(np.flatnonzero(~keyed)[0])
        raise unfit(topic, f"record {row} (from 0) has no key, and a compacted topic takes none without")
    said = records.partitions
    if (said < 0).any():
        rows = np.arange(seen, seen + len(records)) % topic.partitions
        by_key = np.where(keyed, partitions(records.keys.bytes, topic.partitions), rows)
        said = np.where(said < 0, by_key, said)
    if (said >= topic.partitions).any():
        row = int(np.flatnonzero(said >= topic.partitions)[0])
        raise unfit(topic, f"record {seen + row} (from 0) is for partition {said[row]} of {topic.partitions}")
    return Records(records.keys, records.values, records.headers, records.timestamps, said)


def unfit(topic: Topic, found: str) -> SeedFailed:
    """The error for records that cannot be in their topic."""
    source = topic.file or f"relation {topic.relation!r}"
    return SeedFailed(f"topic {topic.name} filled from {source}", found, "mend the dataset and seed again")


def _valid(column: Column) -> NDArray[np.bool_]:
    return np.ones(len(column), np.bool_) if column.valid is None else column.valid

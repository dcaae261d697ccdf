"""Batches against kafka-python's reader and Java's own vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envctl.services.kafka.seeding.batches import HEADER, Producer, Records, Values, encode, varints
from envctl.services.kafka.seeding.loader import requests
from envctl.services.kafka.seeding.log import planned
from envctl.services.kafka.seeding.log import records as taken_apart
from envctl.services.kafka.seeding.murmur2 import murmur2, partitions
from envctl.services.kafka.wire import zigzag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.services.kafka.seeding.batches import Batch

pytestmark = pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning")

PRODUCER = Producer(4711, 3)
NUMBERS = st.integers(-(2**62), 2**62)
CONTENT = st.none() | st.binary(max_size=40)
ROW = st.tuples(CONTENT, CONTENT, CONTENT, st.integers(-1, 2**45), st.integers(0, 2))

JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""Kafka's own test vectors (UtilsTest.testMurmur2)."""


def _values(items: Sequence[bytes | None]) -> Values:
    return Values(
        pa.array([item or b"" for item in items], pa.binary()), np.array([item is not None for item in items])
    )


def _records(rows: Sequence[tuple[bytes | None, bytes | None, bytes | None, int, int]]) -> Records:
    keys, values, headers, times, places = zip(*rows, strict=True)
    return Records(_values(keys), _values(values), [("kïnd", _values(headers))], np.array(times), np.array(places))


def _read(batch: Batch) -> Any:  # noqa: ANN401 - kafka-python has no types
    from kafka.record.default_records import DefaultRecordBatch

    return DefaultRecordBatch(batch.header(PRODUCER) + bytes(batch.records))


def test_a_keys_hash_is_javas() -> None:
    """On Kafka's own vectors, all at once."""
    assert murmur2(pa.array(list(JAVA), pa.binary())).astype(np.int32).tolist() == list(JAVA.values())


@given(st.lists(st.binary(max_size=70)), st.integers(1, 50))
@settings(deadline=None)
def test_keys_go_where_another_clients_partitioner_puts_them(keys: list[bytes], count: int) -> None:
    """kafka-python's, which follows Java's."""
    from kafka.partitioner.default import murmur2 as theirs

    expected = [(theirs(key) & 0x7FFFFFFF) % count for key in keys]
    assert partitions(pa.array(keys, pa.binary()), count).tolist() == expected


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1))
@settings(deadline=None)
def test_numbers_are_written_row_by_row_as_one_by_one(rows: list[tuple[int, int]]) -> None:
    """The vectorised form against the plain one."""
    left, right = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    assert varints(left, right).to_pylist() == [zigzag(a) + zigzag(b) for a, b in rows]


@given(st.lists(ROW, min_size=1))
@settings(deadline=None)
def test_another_client_reads_every_record_as_it_was_given(rows: list[Any]) -> None:
    """Key, value, header, time and order within the partition; null stays null."""
    found: dict[int, list[Any]] = {0: [], 1: [], 2: []}
    for batch in encode(_records(rows), np.zeros(3, np.int64), 200):
        read = _read(batch)
        assert read.validate_crc()
        found[batch.partition] += [(r.key, r.value, r.headers, r.timestamp) for r in read]
    for place, records in found.items():
        headers = {row: [("kïnd", row[2])] if row[2] is not None else [] for row in rows}
        assert records == [(row[0], row[1], headers[row], row[3]) for row in rows if row[4] == place]


@given(st.lists(ROW, min_size=1))
@settings(deadline=None)
def test_a_batch_is_taken_apart_into_what_it_was_made_of(rows: list[Any]) -> None:
    """Envctl's own reader, which says what differs."""
    for batch in encode(_records(rows), np.array([5, 6, 7]), 200):
        found = taken_apart(planned(batch))
        mine = [row for row in rows if row[4] == batch.partition]
        start = batch.first - 5 - batch.partition
        assert [(r.key, r.value, r.timestamp) for r in found] == [
            (row[0], row[1], row[3]) for row in mine[start : start + batch.count]
        ]
        assert [r.offset for r in found] == list(range(batch.first, batch.end))


def test_a_batch_says_who_sent_it_and_as_which() -> None:
    """Producer, epoch and, as sequence, the offset; the latest time and the first."""
    rows = [(b"k", b"v", None, time, 0) for time in (50, 90, 10)]
    (batch,) = encode(_records(rows), np.array([100]))
    read = _read(batch)
    assert (read.producer_id, read.producer_epoch, read.base_sequence) == (4711, 3, 100)
    assert (read.first_timestamp, read.max_timestamp, read.last_offset_delta) == (50, 90, 2)


def test_sequences_begin_again_where_31_bits_end() -> None:
    """As Java's producers do."""
    (batch,) = encode(_records([(b"k", b"v", None, 0, 0)]), np.array([(1 << 31) + 7]))
    assert _read(batch).base_sequence == 7


def test_a_batch_keeps_its_limit_and_a_larger_record_goes_alone() -> None:
    """No batch of several records is larger; nothing is lost."""
    rows = [(None, b"x" * size, None, 0, 0) for size in (100, 100, 5000, 100, 100, 100)]
    batches = encode(_records(rows), np.zeros(1, np.int64), 450)
    assert [batch.count for batch in batches] == [2, 1, 2, 1]
    assert all(batch.size <= 450 for batch in batches if batch.count > 1)


@given(st.lists(ROW, min_size=1), st.integers(1, 30))
@settings(deadline=None)
def test_offsets_go_on_over_chunks(rows: list[Any], cut: int) -> None:
    """Each partition's batches are seamless, however many chunks there are."""
    ends = np.zeros(3, np.int64)
    expected = [0, 0, 0]
    for part in (rows[:cut], rows[cut:]):
        for batch in encode(_records(part), ends) if part else []:
            assert batch.first == expected[batch.partition]
            expected[batch.partition] = batch.end
    assert expected == ends.tolist()


@given(st.lists(ROW, min_size=1, max_size=200))
@settings(deadline=None)
def test_a_request_has_one_batch_of_a_partition_and_they_stay_in_order(rows: list[Any]) -> None:
    """The broker takes no more, and sequences must not overtake one another."""
    batches = encode(_records(rows), np.zeros(3, np.int64), 100)
    sent = [batch for request in requests(batches) for batch in request]
    assert all(len({batch.partition for batch in request}) == len(request) for request in requests(batches))
    for place in range(3):
        assert [b for b in sent if b.partition == place] == [b for b in batches if b.partition == place]


def test_the_digest_does_not_depend_on_the_producer() -> None:
    """The same dataset has the same manifest everywhere, though its CRCs differ."""
    (batch,) = encode(_records([(b"k", b"v", None, 0, 0)]), np.zeros(1, np.int64))
    crcs = {HEADER.unpack(batch.header(Producer(number, 0)))[4] for number in range(3)}
    assert len(crcs) == 3
    assert batch.digest(7) == planned(batch).digest(7)

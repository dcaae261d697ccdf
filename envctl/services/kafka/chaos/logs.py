"""What lies in a partition's log of one producer's transaction, and what of it a reader of committed data sees."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.protocols import NotReady
from envctl.services.kafka.wire import NOT_KAFKA, array, check, string

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.services.kafka.chaos.coordinator import Partition
    from envctl.services.kafka.wire import Connection

_MOST = 1 << 20
_FAR = 8
"""Answers that are looked through."""
_HEADER = 61
"""Bytes of a batch before its records (format 2, Kafka 0.11 and later)."""
_TRANSACTIONAL, _CONTROL = 0x10, 0x20


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch: its head, and its records as they lie in the log. `commits` is what the marker of a transaction's end
    says; None where it is none.
    """

    next: int
    producer: int
    records: int
    transactional: bool
    commits: bool | None
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a partition, up to the end of the log or, of committed data, up to the first open transaction."""

    end: int
    stable: int
    aborted: frozenset[tuple[int, int]]
    """Producers, and where their transactions begin that a reader of committed data must leave out."""
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A transaction's share of a partition: its messages, and how it ended; None where it is open."""

    messages: int
    committed: bool | None


def share(connection: Connection, partition: Partition, producer: int, first: int, *, committed: bool) -> Share:
    """What lies there of the transaction of a producer that begins at offset `first`.

    With `committed` as a reader of committed data sees it: without messages where it is open or aborted.
    """
    messages, at = 0, first
    while True:
        part = fetch(connection, partition, at, committed=committed)
        hidden = committed and (producer, first) in part.aborted
        for batch in part.batches:
            if batch.next <= at:
                continue
            at = batch.next
            if batch.producer == producer and batch.commits is not None:
                return Share(messages, batch.commits)
            if batch.producer == producer and batch.transactional and not hidden:
                messages += batch.records
        if not part.batches or at >= (part.stable if committed else part.end):
            return Share(messages, None)


def find(connection: Connection, partition: Partition, word: bytes, first: int) -> int | None:
    """The offset of a batch of one record with this word in it, not far from offset `first`; None where it is none."""
    at = first
    for _ in range(_FAR):
        part = fetch(connection, partition, at, committed=False)
        for batch in part.batches:
            if word in batch.content:
                return batch.next - 1
            at = max(at, batch.next)
        if not part.batches or at >= part.end:
            break
    return None


def fetch(connection: Connection, partition: Partition, offset: int, *, committed: bool) -> Part:
    """The batches from an offset on, as many as one answer holds.

    Raises:
        Failed: the partition or the offset is not there (any more).

    """
    topic, number = partition
    wanted = string(topic) + array([struct.pack(">iqi", number, offset, _MOST)])
    response = connection.call(1, 4, struct.pack(">iiiib", -1, 0, 0, _MOST, committed) + array([wanted]))
    response.number("i")
    if (response.number("i"), response.string(), response.number("i"), response.number("i")) != (1, topic, 1, number):
        raise NotReady(NOT_KAFKA)
    check(f"fetch from {topic}-{number}", response.number("h"))
    end, stable = response.number("q"), response.number("q")
    aborted = frozenset(response.array(lambda: (response.number("q"), response.number("q"))))
    return Part(end, stable, aborted, tuple(_batches(response.bytes())))


def _batches(data: bytes) -> Iterator[Batch]:
    """The whole batches; the last may be cut off."""
    at = 0
    while at + _HEADER <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        if at + 12 + length > len(data):
            return
        attributes, last = struct.unpack_from(">hi", data, at + 21)
        producer, records = struct.unpack_from(">q", data, at + 43)[0], struct.unpack_from(">i", data, at + 57)[0]
        content = data[at + _HEADER : at + 12 + length]
        commits = _commits(content) if attributes & _CONTROL else None
        yield Batch(base + last + 1, producer, records, bool(attributes & _TRANSACTIONAL), commits, content)
        at += 12 + length


def _commits(record: bytes) -> bool:
    """What a marker says: its record's key is a version and a kind, 0 for an abort and 1 for a commit."""
    # Length, attributes, time and offset are a byte each in a marker, and so is the length of its key (4).
    return bool(struct.unpack_from(">h", record, 7)[0] == 1)

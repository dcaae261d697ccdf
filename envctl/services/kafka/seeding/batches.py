"""Records in the form in which Kafka keeps them (batch format 2), encoded column by column.

The bytes of all records of a chunk are made by a few calls of numpy and Arrow; a batch is a slice of them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from envctl.seeding import arrow
from envctl.seeding.column import chosen, contiguous, fixed, joined, lengths
from envctl.services.kafka.wire import zigzag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

LIMIT = 900_000
"""Bytes of a batch at most (of several records): brokers take 1 048 588 unless told otherwise."""

HEADER = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, leader's epoch, magic, CRC; attributes, last offset delta, base and max time, producer, epoch,
sequence, records. The CRC covers what comes after it.
"""

CHECKED = 21
"""Where in a batch that begins which the CRC covers."""

_FRONT = 12
"""Bytes that the length in a batch's header does not count: itself and the base offset."""

_MOST_VARINTS = 31
"""Bytes of a record that are neither key, value nor headers, at most."""


@dataclass(frozen=True, slots=True)
class Values:
    """Bytes of each row. Where `valid` is False there are none: null, and the row's bytes are empty."""

    bytes: pa.BinaryArray
    valid: Flags | None = None

    def take(self, rows: Integers) -> Values:
        """These rows, in this order."""
        return Values(self.bytes.take(arrow.array(rows)), None if self.valid is None else self.valid[rows])

    def sizes(self) -> Integers:
        """Bytes of each row, -1 for null."""
        return lengths(self.bytes) if self.valid is None else np.where(self.valid, lengths(self.bytes), -1)


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one topic as columns, in the order in which they are to be appended.

    A null value is a tombstone, a null header is not there. `timestamps` are Unix milliseconds, -1 for none.
    """

    keys: Values
    values: Values
    headers: Sequence[tuple[str, Values]]
    timestamps: Integers
    partitions: Integers

    def __len__(self) -> int:
        return len(self.timestamps)

    def by_partition(self) -> Records:
        """The same, partition after partition; within each the order stays."""
        if (np.diff(self.partitions) >= 0).all():
            return self
        order = np.argsort(self.partitions, kind="stable")
        headers = [(name, values.take(order)) for name, values in self.headers]
        return Records(
            self.keys.take(order), self.values.take(order), headers, self.timestamps[order], self.partitions[order]
        )


@dataclass(frozen=True, slots=True)
class Producer:
    """An idempotent producer, as the broker numbered it."""

    id: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch for one partition: `count` records from offset `first` on; the first one's time and the latest."""

    partition: int
    first: int
    count: int
    first_time: int
    last_time: int
    records: memoryview

    @property
    def end(self) -> int:
        """The offset after the last record."""
        return self.first + self.count

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return HEADER.size + len(self.records)

    def header(self, producer: Producer) -> bytes:
        """What stands before the records. The sequence number is the offset: each record has one for ever."""
        from crc32c import crc32c

        fields = (0, self.count - 1, self.first_time, self.last_time, producer.id, producer.epoch)
        rest = (*fields, self.first % (1 << 31), self.count)
        front = (0, self.size - _FRONT, -1, 2)
        crc = crc32c(self.records, crc32c(HEADER.pack(*front, 0, *rest)[CHECKED:]))
        return HEADER.pack(*front, crc, *rest)

    def digest(self, before: int) -> int:
        """The running digest of the partition after this batch; who produced it, and when, does not matter."""
        from crc32c import crc32c

        return int(crc32c(self.records, crc32c(struct.pack(">qq", self.first, self.first_time), before)))


def encode(records: Records, ends: Integers, limit: int = LIMIT) -> list[Batch]:
    """Batches of at most `limit` bytes, or of one record; partition after partition.

    `ends` has each partition's next offset, and is moved on. The batches depend on nothing else.
    """
    records = records.by_partition()
    tails = _headers(records)
    key_sizes, value_sizes = records.keys.sizes(), records.values.sizes()
    sizes = np.maximum(key_sizes, 0) + np.maximum(value_sizes, 0) + lengths(tails) + _MOST_VARINTS
    cuts = np.fromiter(_cuts(records.partitions, np.cumsum(sizes), limit - HEADER.size), np.int64)
    counts = np.diff(cuts, append=len(records))
    offset_deltas = np.arange(len(records)) - np.repeat(cuts, counts)
    time_deltas = records.timestamps - np.repeat(records.timestamps[cuts], counts)
    middle = varints(value_sizes)
    rest = varints(np.zeros(len(records), np.int64), time_deltas, offset_deltas, key_sizes)
    body = lengths(rest) + lengths(middle) + sizes - _MOST_VARINTS
    rows = joined(varints(body), rest, records.keys.bytes, middle, records.values.bytes, tails)
    return [_batch(records, rows, int(cut), int(count), ends) for cut, count in zip(cuts, counts, strict=True)]


def varints(*columns: Integers) -> pa.BinaryArray:
    """Row by row the numbers of all columns as Kafka's (zigzag) varints."""
    parts: list[NDArray[np.uint8]] = []
    kept: list[Flags] = []
    for numbers in columns:
        left = (numbers << 1 ^ numbers >> 63).view(np.uint64)
        keep = np.ones(len(numbers), np.bool_)
        while True:
            rest = left >> np.uint64(7)
            more = rest != 0
            parts.append((left & np.uint64(0x7F) | more * np.uint64(0x80)).astype(np.uint8))
            kept.append(keep)
            if not more.any():
                break
            left, keep = rest, more
    matrix, mask = np.stack(parts, axis=1), np.stack(kept, axis=1)
    if mask.all():
        return fixed(matrix)
    offsets = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int32)
    return pa.Array.from_buffers(pa.binary(), len(matrix), [None, pa.py_buffer(offsets), pa.py_buffer(matrix[mask])])


def _headers(records: Records) -> pa.BinaryArray:
    """The headers' section of each record: how many, and each with its name."""
    count = np.full(len(records), len(records.headers), np.int64)
    pieces: list[pa.BinaryArray] = []
    for name, values in records.headers:
        start = zigzag(len(name.encode())) + name.encode()
        piece = joined(start, varints(lengths(values.bytes)), values.bytes)
        if values.valid is not None:
            count -= ~values.valid
            piece = chosen(values.valid, piece, b"")
        pieces.append(piece)
    return joined(varints(count), *pieces)


def _cuts(partitions: Integers, sums: Integers, limit: int) -> Iterator[int]:
    """The rows at which batches begin."""
    starts = np.flatnonzero(np.diff(partitions, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(partitions)], strict=True):
        cut = int(start)
        while cut < stop:
            yield cut
            before = sums[cut - 1] if cut else 0
            cut = max(cut + 1, int(np.searchsorted(sums, before + limit, side="right")))


def _batch(records: Records, rows: pa.BinaryArray, start: int, count: int, ends: Integers) -> Batch:
    partition, times = int(records.partitions[start]), records.timestamps[start : start + count]
    first = int(ends[partition])
    ends[partition] += count
    return Batch(partition, first, count, int(times[0]), int(times.max()), contiguous(rows[start : start + count]))

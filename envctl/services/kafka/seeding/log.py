"""Batches as they lie in a partition's log: fetched raw, checked, taken apart."""

from __future__ import annotations

import struct
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from envctl.protocols import NotReady
from envctl.services.kafka.seeding.ahead import ahead
from envctl.services.kafka.seeding.batches import CHECKED, HEADER
from envctl.services.kafka.seeding.client import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.services.kafka.seeding.batches import Batch
    from envctl.services.kafka.seeding.client import Session

_CODECS = {1: "gzip", 3: "lz4", 4: "zstd"}
_SNAPPY = 2
_LENGTH_AND_OFFSET = 12
_FIRST, _LENGTH, _LAST = 0, 1, 6
"""Where in a batch's header base offset, length and the last record's offset delta are."""

_SHOWN = 80
"""Characters of a value in a message."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One batch: its records (decompressed) as bytes, and whether its CRC is right."""

    first: int
    end: int
    count: int
    first_time: int
    records: memoryview
    sound: bool = True

    def digest(self, before: int) -> int:
        """As `Batch.digest`: the same bytes at the same offset give the same."""
        from crc32c import crc32c

        return int(crc32c(self.records, crc32c(struct.pack(">qq", self.first, self.first_time), before)))


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was produced, also where the broker puts its own time over the producer's."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def stored(at: Session, topic: str, partition: int, start: int, end: int) -> Iterator[Stored]:
    """The batches of a partition from `start` up to `end`. Nobody else may use the connection meanwhile.

    Raises:
        NotReady: the log ends before.

    """
    with closing(ahead(_fetched(at, topic, partition, start, end))) as fetched:
        for raw, offset in fetched:
            yield from (batch for batch in _whole(raw) if batch.end > offset)


def _fetched(at: Session, topic: str, partition: int, start: int, end: int) -> Iterator[tuple[memoryview, int]]:
    """What one fetch after the other brings, and the offset that it was asked from; raises as `stored`."""
    offset = start
    while offset < end:
        raw, before = memoryview(fetch(at, topic, partition, offset)), offset
        for front, _ in _fronts(raw):
            offset = max(offset, front[_FIRST] + front[_LAST] + 1)
        if offset == before:
            raise NotReady(f"{topic}, partition {partition} has nothing at offset {offset} of {end}")
        yield raw, before


def planned(batch: Batch) -> Stored:
    """A batch as it must be found."""
    return Stored(batch.first, batch.end, batch.count, batch.first_time, batch.records)


def records(batch: Stored) -> list[Record]:
    """A batch's records one by one: for a difference to be shown, and for logs that were cleaned."""
    reader = _Records(batch.records)
    return [reader.record(batch) for _ in range(batch.count)]


def difference(wanted: Record, found: Record | None) -> str:
    """Which part of a record is another one, and how; empty if none is."""
    if found is None:
        return "nothing is there"
    for part in ("key", "value", "headers", "timestamp"):
        now, was = getattr(found, part), getattr(wanted, part)
        if now != was:
            return f"{part} is {_shown(now)}; loaded as {_shown(was)}"
    return ""


def _shown(value: object) -> str:
    text = repr(value.decode(errors="replace") if isinstance(value, bytes) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _whole(raw: memoryview) -> Iterator[Stored]:
    """The batches that are there as a whole."""
    from crc32c import crc32c

    for (first, _, _, _, crc, attributes, last, time, _, _, _, _, count), batch in _fronts(raw):
        sound = crc32c(batch[CHECKED:]) == crc & 0xFFFFFFFF
        content = _decompressed(attributes & 7, batch[HEADER.size :])
        yield Stored(first, first + last + 1, count, time, content, sound)


def _fronts(raw: memoryview) -> Iterator[tuple[tuple[int, ...], memoryview]]:
    """The fields of each whole batch's header, and all of the batch."""
    at = 0
    while at + HEADER.size <= len(raw):
        fields = HEADER.unpack_from(raw, at)
        end = at + _LENGTH_AND_OFFSET + fields[_LENGTH]
        if end > len(raw):
            return
        yield fields, raw[at:end]
        at = end


def _decompressed(codec: int, content: memoryview) -> memoryview:
    if codec == _SNAPPY:
        return _unsnapped(content)
    if codec not in _CODECS:
        return content
    with pa.CompressedInputStream(pa.BufferReader(pa.py_buffer(content)), _CODECS[codec]) as stream:
        return memoryview(stream.read())


def _unsnapped(content: memoryview) -> memoryview:
    """Blocks in the frame of snappy-java: 16 bytes of header, then each block with its length."""
    out, at = bytearray(), 16
    while at < len(content):
        (length,) = struct.unpack_from(">i", content, at)
        block = content[at + 4 : at + 4 + length]
        size = shift = used = 0
        while True:
            byte = block[used]
            size |= (byte & 0x7F) << shift
            used, shift = used + 1, shift + 7
            if byte < 0x80:  # noqa: PLR2004 - the last byte has no continuation bit
                break
        out += pa.decompress(pa.py_buffer(block), size, "snappy", asbytes=True)
        at += 4 + length
    return memoryview(out)


class _Records:
    """Takes records off a batch, front to back."""

    def __init__(self, content: memoryview) -> None:
        self._content, self._at = content.cast("B"), 0  # Arrow's bytes are signed

    def record(self, batch: Stored) -> Record:
        """The next one."""
        self._varint()
        self._at += 1
        time, offset = batch.first_time + self._varint(), batch.first + self._varint()
        key, value = self._bytes(), self._bytes()
        headers = tuple(((self._bytes() or b"").decode(errors="replace"), self._bytes()) for _ in range(self._varint()))
        return Record(offset, time, key, value, headers)

    def _bytes(self) -> bytes | None:
        size = self._varint()
        if size < 0:
            return None
        self._at, start = self._at + size, self._at
        return bytes(self._content[start : self._at])

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._content[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004 - the last byte has no continuation bit
                return value >> 1 ^ -(value & 1)

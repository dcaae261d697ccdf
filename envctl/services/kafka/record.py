"""One record in the form in which Kafka keeps it (batch format 2, Kafka 0.11 and later)."""

from __future__ import annotations

import struct

from envctl.services.kafka.wire import data, zigzag

_CASTAGNOLI = 0x82F63B78


def record_batch(value: bytes, timestamp: int) -> bytes:
    """A batch of one record without key, at a time in Unix milliseconds, by no idempotent producer."""
    content = b"\0" + zigzag(0) + zigzag(0) + zigzag(-1) + zigzag(len(value)) + value + zigzag(0)
    record = zigzag(len(content)) + content
    checked = struct.pack(">hiqqqhii", 0, 0, timestamp, timestamp, -1, -1, -1, 1) + record
    # From the leader's epoch (unknown here) on, the length counts.
    return struct.pack(">q", 0) + data(struct.pack(">ibI", -1, 2, crc32c(checked)) + checked)


def crc32c(content: bytes) -> int:
    """The Castagnoli checksum, bit by bit: a probe's record has 100 bytes, no table pays off."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF

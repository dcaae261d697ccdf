"""One record in the form in which Kafka keeps it (batch format 2, Kafka 0.11 and later)."""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import TYPE_CHECKING

from envctl.services.kafka.wire import data, zigzag

if TYPE_CHECKING:
    from collections.abc import Mapping

_CASTAGNOLI = 0x82F63B78
_CHECKSUM = 17
"""Where it stands in a batch."""


def record_batch(
    value: bytes | None, timestamp: int, key: bytes | None = None, headers: Mapping[str, bytes] = MappingProxyType({})
) -> bytes:
    """A batch of one record, at a time in Unix milliseconds, by no idempotent producer."""
    tail = zigzag(len(headers)) + b"".join(_sized(name.encode()) + _sized(held) for name, held in headers.items())
    content = b"\0" + zigzag(0) + zigzag(0) + _sized(key) + _sized(value) + tail
    record = zigzag(len(content)) + content
    checked = struct.pack(">hiqqqhii", 0, 0, timestamp, timestamp, -1, -1, -1, 1) + record
    # From the leader's epoch (unknown here) on, the length counts.
    return struct.pack(">q", 0) + data(struct.pack(">ibI", -1, 2, crc32c(checked)) + checked)


def damaged_batch(size: int = 0) -> bytes:
    """A batch that no broker takes, of so many bytes at least: its checksum is wrong. A broker looks at that last."""
    whole = record_batch(b"", 0)
    damaged = whole[:_CHECKSUM] + bytes(4) + whole[_CHECKSUM + 4 :]
    return damaged[:8] + data(damaged[12:] + bytes(max(0, size - len(damaged))))


def _sized(content: bytes | None) -> bytes:
    return zigzag(-1) if content is None else zigzag(len(content)) + content


def crc32c(content: bytes) -> int:
    """The Castagnoli checksum, bit by bit: a probe's record has 100 bytes, no table pays off."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF

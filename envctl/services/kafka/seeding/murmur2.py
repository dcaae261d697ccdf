"""Where Java's producers put a key: murmur2, for all keys of a column at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from envctl.seeding.column import contiguous, lengths

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Words = NDArray[np.uint32]

_SEED = 0x9747B28C
_M = np.uint32(0x5BD1E995)


def partitions(keys: pa.BinaryArray, count: int) -> Integers:
    """`toPositive(murmur2(key)) % count`, as in Kafka's DefaultPartitioner and BuiltInPartitioner."""
    return (murmur2(keys) & np.uint32(0x7FFFFFFF)).astype(np.int64) % count


def murmur2(keys: pa.BinaryArray) -> Words:
    """Kafka's 32-bit murmur2 of each key (`org.apache.kafka.common.utils.Utils.murmur2`), unsigned."""
    raw, sizes = np.frombuffer(contiguous(keys), np.uint8), lengths(keys)
    starts = np.cumsum(sizes) - sizes
    found = np.empty(len(keys), np.uint32)
    # Keys of one length are hashed together: mostly there are a handful of lengths.
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        found[rows] = _hashed(raw[starts[rows, None] + np.arange(size)], int(size))
    return found


def _hashed(keys: NDArray[np.uint8], size: int) -> Words:
    """The hashes of keys of one size, a row each."""
    whole = size & ~3
    words = np.ascontiguousarray(keys[:, :whole]).view("<u4") if whole else np.empty((len(keys), 0), np.uint32)
    h = np.full(len(keys), _SEED ^ size, np.uint32)
    for at in range(whole // 4):
        k = words[:, at] * _M
        k ^= k >> np.uint32(24)
        h = h * _M ^ k * _M
    if size > whole:
        for at in range(whole, size):
            h ^= keys[:, at].astype(np.uint32) << np.uint32(8 * (at - whole))
        h *= _M
    h ^= h >> np.uint32(13)
    h *= _M
    return h ^ h >> np.uint32(15)

"""Arrow arrays and constants from their buffers.

`pa.array`, `pa.scalar`, constants handed to Arrow's functions and `to_numpy` import pandas where that is installed:
0.3 s and 50 MB (measured, pyarrow 26), for nothing. What is here does not, and all generators and encoders make their
arrays with it; tests/unit/seeding/test_arrow.py sees to that.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_TYPES = {"i8": pa.int64(), "i4": pa.int32(), "u8": pa.uint64()}


def array(values: NDArray[Any]) -> pa.Array:
    """Integers of 4 or 8 bytes, or truths, without nulls. Integers are not copied."""
    if values.dtype == np.bool_:
        bits = pa.py_buffer(np.packbits(values, bitorder="little"))
        return pa.Array.from_buffers(pa.bool_(), len(values), [None, bits])
    kind = _TYPES[values.dtype.str[1:]]
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def strings(values: Iterable[str]) -> pa.StringArray:
    """Texts, without nulls."""
    return _variable(pa.string(), [value.encode() for value in values])


def binaries(values: Iterable[bytes]) -> pa.BinaryArray:
    """Bytes, without nulls."""
    return _variable(pa.binary(), list(values))


@cache
def constant(value: str | bytes) -> pa.Scalar:
    """One value that stands in every row."""
    return (strings([value]) if isinstance(value, str) else binaries([value]))[0]


def repeated(value: str, length: int) -> pa.StringArray:
    """The same text `length` times."""
    return pa.repeat(constant(value), length)


def concatenated(*pieces: pa.StringArray | str, between: str = "") -> pa.StringArray:
    """The texts of each row, one after the other; at least one piece is an array."""
    parts = [constant(piece) if isinstance(piece, str) else piece for piece in pieces]
    return pc.binary_join_element_wise(*parts, constant(between))


def flags(truths: pa.BooleanArray) -> NDArray[np.bool_]:
    """Truths without nulls, as numpy has them."""
    _, bits = truths.buffers()
    unpacked = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")
    return unpacked[truths.offset : truths.offset + len(truths)].astype(np.bool_)


def bounds(rows: pa.StringArray | pa.BinaryArray) -> NDArray[np.int32]:
    """Where each row begins in the data buffer, and where the last one ends."""
    if len(rows) == 0:
        return np.zeros(1, np.int32)
    return np.frombuffer(rows.buffers()[1], np.int32)[rows.offset : rows.offset + len(rows) + 1]


def _variable(kind: pa.DataType, values: list[bytes]) -> pa.Array:
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) for value in values], out=offsets[1:])
    data = pa.py_buffer(b"".join(values))
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(offsets), data])

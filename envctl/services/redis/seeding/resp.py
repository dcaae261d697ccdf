"""Commands for thousands of rows at once, as they travel (RESP), without a Python object per row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envctl.seeding import arrow
from envctl.seeding.column import chosen, contiguous, joined, lengths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Integers = NDArray[np.int64]
    Piece = Any  # an array of texts, one a row, or bytes that stand in every row

MEMBERS = 1000
"""Members or keys that one variadic command takes: from a few hundred on the server's time a member is the same."""

VERBS = {"list": b"RPUSH", "set": b"SADD", "zset": b"ZADD"}


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands of some rows: the bytes of each row, how many commands begin in it, and the key that it is about.

    A row of 0 commands goes on with the command of the row before it.
    """

    rows: pa.BinaryArray
    counts: Integers
    keys: pa.StringArray

    def batches(self, start: int, size: int) -> Iterator[tuple[int, int, memoryview]]:
        """From row `start` on: first row, row after the last, and bytes of batches of about `size` bytes.

        A command is in one batch, whole.
        """
        data, ends = contiguous(self.rows), np.concatenate([[0], np.cumsum(lengths(self.rows))])
        begins = np.append(np.flatnonzero(self.counts), len(self.rows))
        while start < len(self.rows):
            wanted = np.searchsorted(ends, ends[start] + size, "right") - 1
            after = begins[np.searchsorted(begins, start, "right") :]
            fitting = after[after <= wanted]
            stop = int(fitting[-1] if len(fitting) else after[0])
            yield start, stop, data[int(ends[start]) : int(ends[stop])]
            start = stop

    def key_of(self, start: int, command: int) -> str:
        """The key of the command that is number `command` (from 0) counted from row `start`."""
        row = int(np.searchsorted(np.cumsum(self.counts[start:]), command, "right"))
        return str(self.keys[min(start + row, len(self.keys) - 1)].as_py())


def strings(keys: pa.StringArray, values: pa.StringArray, expires: int) -> Commands:
    """SET with an end (Unix ms), MSET for keys without one."""
    if not expires:
        return _variadic([b"$4\r\nMSET\r\n"], None, keys, _rows(*bulk(keys), *bulk(values)), 2)
    end = b"$4\r\nPXAT\r\n" + _bulk_bytes(str(expires).encode())
    rows = _rows(b"*5\r\n$3\r\nSET\r\n", *bulk(keys), *bulk(values), end)
    return Commands(rows, np.ones(len(keys), np.int64), keys)


def hashes(keys: pa.StringArray, fields: Mapping[str, tuple[pa.StringArray, Flags | None]], expires: int) -> Commands:
    """HSET of the fields that a row has (where the flag is false it has none); each row must have one."""
    count, pieces = _fields(fields, len(keys))
    tail = [b"*3\r\n$9\r\nPEXPIREAT\r\n", *bulk(keys), _bulk_bytes(str(expires).encode())] if expires else []
    rows = _rows(b"*", _decimal(count + 2), b"\r\n$4\r\nHSET\r\n", *bulk(keys), *pieces, *tail)
    return Commands(rows, np.full(len(keys), 2 if expires else 1, np.int64), keys)


def entries(
    keys: pa.StringArray,
    ids: pa.StringArray,
    fields: Mapping[str, tuple[pa.StringArray, Flags | None]],
    expires: int,
) -> Commands:
    """XADD of the fields that a row has; each row must have one."""
    count, pieces = _fields(fields, len(keys))
    tail = [b"*3\r\n$9\r\nPEXPIREAT\r\n", *bulk(keys), _bulk_bytes(str(expires).encode())] if expires else []
    rows = _rows(b"*", _decimal(count + 3), b"\r\n$4\r\nXADD\r\n", *bulk(keys), *bulk(ids), *pieces, *tail)
    return Commands(rows, np.full(len(keys), 2 if expires else 1, np.int64), keys)


def members(kind: str, keys: pa.StringArray, parts: list[pa.StringArray], expires: int) -> Commands:
    """RPUSH, SADD or ZADD (parts: score, member) of consecutive rows with the same key, `MEMBERS` at a time."""
    items = _rows(*[piece for part in parts for piece in bulk(part)])
    return _variadic([_bulk_bytes(VERBS[kind]), *bulk(keys)], keys, keys, items, len(parts), expires)


def bulk(values: pa.StringArray) -> list[Piece]:
    """The pieces of one argument."""
    return [b"$", _decimal(lengths(values)), b"\r\n", values, b"\r\n"]


def _variadic(
    head: list[Piece],
    same: pa.StringArray | None,
    keys: pa.StringArray,
    items: pa.BinaryArray,
    each: int,
    expires: int = 0,
) -> Commands:
    """One command for consecutive rows of the same key; `head` is what stands before the first item."""
    starts = _starts(same, len(keys))
    first = arrow.array(starts)
    sizes = np.diff(np.append(starts, len(keys)))
    heads = [piece if isinstance(piece, bytes) else piece.take(first) for piece in head]
    arguments = sizes * each + (1 if same is None else 2)
    opening = _rows(b"*", _texts(arguments), b"\r\n", *heads)
    pieces = [_placed(opening, starts, len(keys)), items]
    counts = np.zeros(len(keys), np.int64)
    counts[starts] = 1
    if expires and len(keys):
        of_group = [piece if isinstance(piece, bytes) else piece.take(first) for piece in bulk(keys)]
        closing = _rows(b"*3\r\n$9\r\nPEXPIREAT\r\n", *of_group, _bulk_bytes(str(expires).encode()))
        pieces.append(_placed(closing, starts + sizes - 1, len(keys)))
        counts[starts] = 2
    return Commands(joined(*pieces), counts, keys)


def _starts(same: pa.StringArray | None, rows: int) -> Integers:
    """The rows with which a command begins."""
    if same is None or rows == 0:
        return np.arange(0, rows, MEMBERS, dtype=np.int64)
    other = arrow.flags(pc.not_equal(same[1:], same[:-1]))
    runs = np.concatenate([[0], np.flatnonzero(other) + 1])
    place = np.arange(rows) - np.repeat(runs, np.diff(np.append(runs, rows)))
    return np.flatnonzero(place % MEMBERS == 0)


def _placed(values: pa.BinaryArray, at: Integers, rows: int) -> pa.BinaryArray:
    """The values in these rows, nothing in all others."""
    index = np.full(rows, len(values), np.int64)
    index[at] = np.arange(len(values))
    return pa.concat_arrays([values, arrow.binaries([b""])]).take(arrow.array(index))


def _fields(fields: Mapping[str, tuple[pa.StringArray, Flags | None]], rows: int) -> tuple[Integers, list[Piece]]:
    """How many arguments the fields of each row are, and their pieces."""
    count = np.zeros(rows, np.int64)
    pieces: list[Piece] = []
    for name, (values, there) in fields.items():
        both: list[Piece] = [_bulk_bytes(name.encode()), *bulk(values)]
        pieces += both if there is None else [chosen(there, _rows(*both), b"")]
        count += 2 if there is None else 2 * there
    return count, pieces


def _rows(*pieces: Piece) -> pa.BinaryArray:
    """The pieces of each row together; constant neighbours become one piece first, for each piece costs time a row."""
    merged: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += piece
        else:
            merged.append(piece)
    return joined(*merged)


def _bulk_bytes(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def _decimal(numbers: Integers) -> Piece:
    """Numbers as text; the same number in all rows as one text for all."""
    if len(numbers) and (numbers == numbers[0]).all():
        return str(int(numbers[0])).encode()
    return _texts(numbers)


def _texts(numbers: Integers) -> pa.StringArray:
    return arrow.array(numbers).cast(pa.string())

"""Thrift's compact protocol, as much of it as a Parquet footer needs: values are written, never read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SHORT_LIST = 15
_TRUE, _FALSE, _I16, _I32, _I64, _BINARY, _LIST, _STRUCT = 1, 2, 4, 5, 6, 8, 9, 12


class Value(NamedTuple):
    """A value's type in the protocol, and its bytes."""

    type: int
    body: bytes


def varint(number: int) -> bytes:
    """A number from 0, seven bits a byte, the lowest first."""
    found = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def i16(number: int) -> Value:
    """A 16-bit integer."""
    return Value(_I16, _zigzag(number))


def i32(number: int) -> Value:
    """A 32-bit integer or an enum."""
    return Value(_I32, _zigzag(number))


def i64(number: int) -> Value:
    """A 64-bit integer."""
    return Value(_I64, _zigzag(number))


def boolean(*, value: bool) -> Value:
    """A field that is true or false; its type says which."""
    return Value(_TRUE if value else _FALSE, b"")


def binary(value: bytes | str) -> Value:
    """Bytes, or a text in UTF-8."""
    raw = value.encode() if isinstance(value, str) else value
    return Value(_BINARY, varint(len(raw)) + raw)


def listed(values: Iterable[Value]) -> Value:
    """A list of values of one type, at least one."""
    items = list(values)
    size, kind = len(items), items[0].type
    head = bytes([size << 4 | kind]) if size < _SHORT_LIST else bytes([0xF0 | kind]) + varint(size)
    return Value(_LIST, head + b"".join(item.body for item in items))


def struct(fields: Mapping[int, Value | None]) -> Value:
    """Fields by their ids, in order; those that are None are left out."""
    parts, last = [], 0
    for field, value in fields.items():
        if value is not None:
            delta = field - last
            parts += [bytes([delta << 4 | value.type]), value.body]
            last = field
    return Value(_STRUCT, b"".join(parts) + b"\0")


def _zigzag(number: int) -> bytes:
    return varint(number << 1 if number >= 0 else (-number << 1) - 1)

"""Rows in binary COPY, byte for byte as PostgreSQL's receive functions read them."""

from __future__ import annotations

import struct
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envctl.seeding.column import Column, Kind
from envctl.services.postgres.seeding import numerics, sums
from envctl.services.postgres.seeding.catalog import TableColumn
from envctl.services.postgres.seeding.encoding import EncodingError, Layout

INT64 = st.integers(-(2**63), 2**63 - 1)


def column(type_: int, name: str = "c") -> TableColumn:
    """A column of a type."""
    return TableColumn(name, type_, f"type {type_}")


def integers(*values: int, valid: list[bool] | None = None, kind: Kind = Kind.INT, scale: int = 0) -> Column:
    """Numbers."""
    return Column(kind, np.array(values, np.int64), None if valid is None else np.array(valid), scale)


def texts(*values: str, valid: list[bool] | None = None) -> Column:
    """Texts."""
    return Column(Kind.TEXT, pa.array(values), None if valid is None else np.array(valid))


def test_neighbours_of_fixed_width_and_texts_stand_in_their_order() -> None:
    """Count, then length and bytes of each."""
    layout = Layout([column(23, "a"), column(25, "b"), column(20, "c")])
    data = bytes(layout.encode([integers(7, -1), texts("ü", ""), integers(1, 2)]))
    first = struct.pack("!hiii2siq", 3, 4, 7, 2, "ü".encode(), 8, 1)
    second = struct.pack("!hiiiiq", 3, 4, -1, 0, 8, 2)
    assert data == first + second


def test_a_null_is_a_length_of_minus_one_whatever_its_value_says() -> None:
    """Of numbers, texts, documents, and of a column that is always null."""
    layout = Layout([column(23), column(25), column(3802), column(16)])
    off = [False, True]
    columns = [
        integers(2**40, 5, valid=off),
        texts("secret", "x", valid=off),
        Column(Kind.JSON, pa.array(["{", "{}"]), np.array(off)),
        Column(Kind.NULL, pa.array(["", ""]), np.zeros(2, np.bool_)),
    ]
    data = bytes(layout.encode(columns))
    assert data == struct.pack("!hiiii", 4, -1, -1, -1, -1) + struct.pack(
        "!hiiisi3si", 4, 4, 5, 1, b"x", 3, b"\1{}", -1
    )


@given(st.lists(INT64, min_size=1, max_size=20), st.integers(0, numerics.LARGEST_SCALE))
def test_numerics_are_the_numbers_that_they_were(units: list[int], scale: int) -> None:
    """All of 64 bits, at any scale."""
    layout = Layout([column(1700)])
    data = bytes(layout.encode([integers(*units, kind=Kind.DECIMAL, scale=scale)]))
    found = []
    while data:
        length, count, weight, sign, dscale = struct.unpack_from("!ihhHH", data, 2)
        digits = struct.unpack_from(f"!{count}H", data, 14)
        value = sum(Decimal(digit) * Decimal(10000) ** (weight - n) for n, digit in enumerate(digits))
        found.append(-value if sign == 0x4000 else value)
        assert dscale == scale
        assert max(digits) < 10_000
        data = data[6 + length :]
    assert found == [Decimal(u).scaleb(-scale) for u in units]


@pytest.mark.parametrize(("type_", "value"), [(21, 32768), (21, -32769), (23, 2**31), (23, -(2**31) - 1)])
def test_a_number_beyond_its_type_is_refused_with_its_row(type_: int, value: int) -> None:
    """And never cut."""
    with pytest.raises(EncodingError, match=f"{value} does not fit") as caught:
        Layout([column(type_)]).encode([integers(0, value)])
    assert caught.value.row == 1


@pytest.mark.parametrize("text", ["", "0a1b2c3d4e5f60718293a4b5c6d7e8f90000", "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8fg"])
def test_what_is_no_uuid_is_refused_with_its_row(text: str) -> None:
    """The value is named."""
    good = "0a1b2c3d-4e5f-6071-8293-A4B5C6D7E8F9"
    with pytest.raises(EncodingError, match="is no UUID") as caught:
        Layout([column(2950)]).encode([texts(good, text)])
    assert caught.value.row == 1


def test_a_type_without_a_binary_form_makes_the_table_travel_as_text() -> None:
    """Escaped as COPY wants it."""
    layout = Layout([column(1009), column(25), column(20)])
    assert not layout.binary
    data = layout.encode([texts("{a,b}", "{}"), texts("a\tb\\", "x", valid=[True, False]), integers(1, 2)])
    assert bytes(data) == b"{a,b}\ta\\tb\\\\\t1\n{}\t\\N\t2\n"


def test_no_rows_are_no_bytes() -> None:
    """A chunk whose parents have no children."""
    assert bytes(Layout([column(20), column(25)]).encode([integers(), texts()])) == b""


@given(st.lists(st.tuples(INT64, st.booleans()), min_size=1, max_size=50))
def test_sums_are_exact_beyond_64_bits(values: list[tuple[int, bool]]) -> None:
    """Nulls do not count."""
    numbers, valid = zip(*values, strict=True)
    found = sums.of_chunk([column(20)], [integers(*numbers, valid=list(valid))])
    assert found == {"c": sum(n for n, ok in values if ok)}

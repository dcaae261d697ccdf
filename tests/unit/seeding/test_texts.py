"""Columns as text and JSON: what Python's own libraries would write."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from envctl.seeding import texts
from envctl.seeding.column import Column, Kind, constant, contiguous, fixed, gathered, joined, lengths

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
STRINGS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=6)
MOMENTS = st.lists(st.datetimes(timezones=st.just(dt.UTC)), min_size=1, max_size=6)


def of_text(values: list[str]) -> Column:
    """A column of texts."""
    return Column(Kind.TEXT, pa.array(values, pa.string()))


@given(values=STRINGS)
def test_texts_survive_json(values: list[str]) -> None:
    """Quotes, backslashes, control characters, emoji: whatever it is, a JSON reader finds it again."""
    assert [json.loads(value) for value in texts.json_value(of_text(values)).to_pylist()] == values
    made = texts.json_object({'a "key"': of_text(values)}).to_pylist()
    assert [json.loads(value) for value in made] == [{'a "key"': value} for value in values]


@given(moments=MOMENTS)
def test_times_and_dates_are_those_of_python(moments: list[dt.datetime]) -> None:
    """From year 1 to 9999, before 1970 and after, to the microsecond."""
    micros = np.array([(moment - EPOCH) // dt.timedelta(microseconds=1) for moment in moments])
    assert texts.times(micros).to_pylist() == [m.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0") for m in moments]
    days = np.array([(moment.date() - EPOCH.date()).days for moment in moments])
    assert texts.dates(days).to_pylist() == [moment.date().isoformat() for moment in moments]


@given(units=st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=6), scale=st.integers(0, 6))
def test_decimals_are_those_of_python(units: list[int], scale: int) -> None:
    """All their digits, also where there is nothing before the point."""
    written = texts.decimals(np.array(units), scale).to_pylist()
    assert [Decimal(text) for text in written] == [Decimal(unit).scaleb(-scale) for unit in units]
    assert all(len(text.partition(".")[2]) == scale for text in written)


@given(words=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5))
def test_uuids_are_of_version_4_and_hexadecimal_digits_are_the_words(words: list[int]) -> None:
    """Any UUID library takes them."""
    random = np.array(words, np.uint64)
    assert {uuid.UUID(text).version for text in texts.uuids(random, random).to_pylist()} == {4}
    assert texts.hexadecimal(random, 16).to_pylist() == [f"{word:016x}" for word in words]
    assert texts.hexadecimal(random, 5).to_pylist() == [f"{word:016x}"[:5] for word in words]


def test_every_kind_has_its_json_and_null_is_null() -> None:
    """A value of each kind, and a null of each."""
    columns = {
        "i": Column(Kind.INT, np.array([7, 7])),
        "b": Column(Kind.BOOL, np.array([True, False])),
        "t": Column(Kind.TIME, np.array([0, 1])),
        "d": Column(Kind.DATE, np.array([0, 1])),
        "m": Column(Kind.DECIMAL, np.array([5, -5]), None, 2),
        "s": of_text(["ß", '"']),
        "j": Column(Kind.JSON, pa.array(["[1]", "{}"])),
    }
    wanted: list[dict[str, Any]] = [
        {"i": 7, "b": True, "t": "1970-01-01T00:00:00.000000Z", "d": "1970-01-01", "m": 0.05, "s": "ß", "j": [1]},
        {"i": 7, "b": False, "t": "1970-01-01T00:00:00.000001Z", "d": "1970-01-02", "m": -0.05, "s": '"', "j": {}},
    ]
    assert [json.loads(line) for line in texts.json_object(columns).to_pylist()] == wanted
    nothing = {name: Column(c.kind, c.values, np.zeros(2, np.bool_), c.scale) for name, c in columns.items()}
    nothing["n"] = constant(None, 2)
    assert {v for line in texts.json_object(nothing).to_pylist() for v in json.loads(line).values()} == {None}
    assert texts.text(nothing["m"], "\\N").to_pylist() == ["\\N", "\\N"]


@given(values=STRINGS, start=st.integers(0, 6))
def test_joined_rows_lie_in_memory_one_after_the_other(values: list[str], start: int) -> None:
    """What an encoder sends is the bytes of all rows without anything between them, also of a part of them."""
    rows = joined(pa.array(values, pa.string()), b"|", fixed(np.arange(len(values), dtype=">u2")))
    wanted = [value.encode() + b"|" + bytes([0, n]) for n, value in enumerate(values)]
    assert bytes(contiguous(rows[start:])) == b"".join(wanted[start:])
    assert lengths(rows).tolist() == [len(row) for row in wanted]


def test_parts_of_a_column_are_columns() -> None:
    """Taken, cut and put together again, nulls included."""
    column = Column(Kind.INT, np.arange(4), np.array([True, False, True, True]))
    assert column.take(np.array([2, 1])).pylist() == [2, None]
    assert gathered([column.slice(1, 3), Column(Kind.INT, np.array([9]))]).pylist() == [None, 2, 9]
    assert gathered([of_text(["a"]), of_text([])]).pylist() == ["a"]

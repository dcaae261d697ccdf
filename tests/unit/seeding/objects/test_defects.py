"""What is wrong with an object on purpose meets its readers, and the rest of its rows is intact."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envctl.seeding.world import WorldError
from tests.unit.seeding.objects.sample import bodies, made, smallest

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = st.integers(0, 5000)
SHAPES = st.sampled_from(["plain", "nested", "all", "one"])


def sound(body: bytes) -> Iterator[bool]:
    """Whether each line of JSON lines can be read."""
    for line in body.split(b"\n"):
        try:
            if line:
                json.loads(line)
                yield True
        except ValueError:
            yield False


@settings(max_examples=60, deadline=None)
@given(version=SHAPES, above=SIZES)
def test_a_corrupt_jsonl_object_has_one_line_that_is_no_json(version: str, above: int) -> None:
    """It is the one in the middle."""
    size = smallest("jsonl", version, "corrupt") + above
    body, rows = made(size, "jsonl", version, "corrupt")
    found = list(sound(body))
    assert (found.count(True), found.count(False)) == (rows, 1)
    broken = body[body.rfind(b"\n", 0, size // 2) + 1 : body.find(b"\n", size // 2)]
    assert list(sound(broken)) == [False]


@settings(max_examples=60, deadline=None)
@given(version=st.sampled_from(["plain", "numbers", "narrow"]), above=SIZES)
def test_a_corrupt_csv_object_has_one_row_with_other_columns(version: str, above: int) -> None:
    """All other rows have as many as the header."""
    body, rows = made(smallest("csv", version, "corrupt") + above, "csv", version, "corrupt")
    header, *found = csv.reader(io.StringIO(body.decode(), newline=""))
    assert [len(row) == len(header) for row in found].count(False) == 1
    assert rows == len(found) - 1


def test_a_corrupt_parquet_object_has_one_row_group_that_cannot_be_read() -> None:
    """The rows of the others are intact."""
    body, rows = made(14_000_000, "parquet", "all", "corrupt")
    file, intact, lost = pq.ParquetFile(io.BytesIO(body)), 0, 0
    for group in range(file.num_row_groups):
        try:
            intact += file.read_row_group(group).num_rows
        except OSError:
            lost += 1
    assert (intact, lost) == (rows, 1)
    assert rows > 0


@pytest.mark.parametrize("above", [0, 300, 100_000])
def test_a_corrupt_parquet_object_of_one_row_group_has_no_intact_row(above: int) -> None:
    """However small it is."""
    body, rows = made(smallest("parquet", "all", "corrupt") + above, "parquet", "all", "corrupt")
    assert rows == 0
    with pytest.raises((OSError, pa.ArrowException)):
        pq.read_table(io.BytesIO(body))


@settings(max_examples=200, deadline=None)
@given(version=SHAPES, above=SIZES)
def test_a_cut_jsonl_object_ends_within_a_row(version: str, above: int) -> None:
    """What is left of that row is no JSON; the rows before it are."""
    body, rows = made(smallest("jsonl", version, "truncated") + above, "jsonl", version, "truncated")
    assert list(sound(body)) == [True] * rows + [False]


@settings(max_examples=100, deadline=None)
@given(version=st.sampled_from(["plain", "numbers", "narrow"]), above=SIZES)
def test_a_cut_csv_object_ends_within_a_row(version: str, above: int) -> None:
    """The intact rows have their line ends."""
    body, rows = made(smallest("csv", version, "truncated") + above, "csv", version, "truncated")
    assert (body.count(b"\n"), body[-1:] != b"\n") == (rows + 1, True)


@pytest.mark.parametrize("above", [0, 1, 50_000, 6_000_000])
def test_a_cut_parquet_object_has_no_footer(above: int) -> None:
    """No reader finds a row in it."""
    body, rows = made(smallest("parquet", "all", "truncated") + above, "parquet", "all", "truncated")
    assert (rows, body[:4]) == (0, b"PAR1")
    with pytest.raises(pa.ArrowInvalid):
        pq.read_table(io.BytesIO(body))


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("version", ["plain", "all"])
@pytest.mark.parametrize("size", [8000, 8001])
def test_text_in_the_wrong_encoding_is_utf_16(kind: str, version: str, size: int) -> None:
    """In it, it is a sound object, but for half a character at odd sizes."""
    body, rows = made(size, kind, version, "encoding")
    assert rows == 0
    with pytest.raises(UnicodeDecodeError):
        body.decode()
    text = body[: size // 2 * 2].decode("utf-16")
    if kind == "jsonl":
        assert all(sound(text.encode()))
    else:
        assert len({len(row) for row in csv.reader(io.StringIO(text, newline=""))}) == 1


def test_parquet_in_the_wrong_encoding_has_texts_that_are_not_utf_8() -> None:
    """The rows that have a text are lost; without any they are intact."""
    body, rows = made(40_000, "parquet", "one", "encoding")
    table = pq.read_table(io.BytesIO(body))
    with pytest.raises(pa.ArrowInvalid, match="UTF8"):
        table.validate(full=True)
    sizes = pa.compute.binary_length(table["note"]).to_pylist()
    assert 0 < rows == sum(not size for size in sizes) < len(sizes)


def test_parquet_without_text_cannot_be_in_the_wrong_encoding() -> None:
    """That is said before anything is made."""
    with pytest.raises(WorldError, match="have no text"):
        bodies(10_000, "parquet", "numbers", "encoding")

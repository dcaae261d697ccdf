"""Independent readers find the world's rows in the objects."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.seeding.objects.sample import VERSIONS, expected, made

SIZES = st.integers(6_000, 40_000)
SHAPES = st.sampled_from(sorted(VERSIONS))


def written(value: object) -> object:
    """A value as JSON has it."""
    if isinstance(value, dict):
        return {name: written(inner) for name, inner in value.items()}
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, dt.date) else value


def cells(row: dict[str, Any]) -> list[str]:
    """A row as CSV has it; JSON documents without blanks."""
    found = []
    for value in row.values():
        if isinstance(value, dict) and "list" not in value:
            found += cells(value)
        elif isinstance(value, dict):
            found.append(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
        else:
            found.append("" if value is None else str(value).lower() if value in {True, False} else str(written(value)))
    return found


@settings(max_examples=25, deadline=None)
@given(version=SHAPES, size=SIZES)
def test_each_line_of_json_lines_is_a_row(version: str, size: int) -> None:
    """The last one, too."""
    body, rows = made(size, "jsonl", version)
    found = [json.loads(line, parse_float=Decimal) for line in body.decode().split("\n")[:-1]]
    assert found == [written(row) for row in expected(version, rows)]


@settings(max_examples=25, deadline=None)
@given(version=SHAPES, size=SIZES)
def test_each_record_of_csv_is_a_row(version: str, size: int) -> None:
    """But for blanks or zeros in the last one."""
    body, rows = made(size, "csv", version)
    header, *found = csv.reader(io.StringIO(body.decode(), newline=""))
    wanted = [cells(row) for row in expected(version, rows)]
    assert found[:-1] == wanted[:-1]
    assert {len(row) for row in found} == {len(header)}
    assert all(
        a == b or a.rstrip() == b.rstrip() or Decimal(a) == Decimal(b)
        for a, b in zip(found[-1], wanted[-1], strict=True)
    )


@settings(max_examples=25, deadline=None)
@given(version=SHAPES, size=SIZES)
def test_pyarrow_reads_the_rows_of_parquet(version: str, size: int) -> None:
    """Texts are UTF-8, and all values are equal."""
    body, rows = made(size, "parquet", version)
    table = pq.read_table(io.BytesIO(body))
    table.validate(full=True)
    found = table.to_pylist()
    for row in found:
        row.update({name: json.loads(value) for name, value in row.items() if name == "document"})
    assert found == expected(version, rows)


def test_parquet_has_the_types_that_the_values_mean() -> None:
    """Only what can be null is optional."""
    body, _ = made(20_000, "parquet", "all")
    assert pq.read_schema(io.BytesIO(body)) == pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("name", pa.string(), nullable=False),
            pa.field("odd", pa.string(), nullable=False),
            pa.field("note", pa.string()),
            pa.field("count", pa.int64()),
            pa.field("debt", pa.decimal128(18, 2), nullable=False),
            pa.field("at", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("day", pa.date32(), nullable=False),
            pa.field("good", pa.bool_(), nullable=False),
            pa.field("maybe", pa.bool_()),
            pa.field("document", pa.string(), nullable=False),
            pa.field("nothing", pa.string()),
        ]
    )


def test_every_row_group_of_parquet_can_be_read_alone() -> None:
    """And its statistics are those of its values."""
    body, rows = made(9_500_001, "parquet", "all")
    file, found = pq.ParquetFile(io.BytesIO(body)), 0
    for group in range(file.num_row_groups):
        times = file.read_row_group(group, ["at", "count"])
        said = file.metadata.row_group(group)
        column = said.column(6).statistics
        assert (column.min, column.max) == (min(times["at"].to_pylist()), max(times["at"].to_pylist()))
        assert said.column(4).statistics.null_count == times["count"].null_count
        found += said.num_rows
    assert (found, file.num_row_groups > 2) == (rows, True)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_no_further_row_would_have_fitted(kind: str) -> None:
    """What is padded is less than a row."""
    body, rows = made(30_000, kind, "plain")
    longer, more = made(30_000 + 100, kind, "plain")
    assert rows < more
    assert len(body) - len(body.replace(b" ", b"")) < rows + 100
    assert longer.startswith(body[: body.rindex(b"\n", 0, -1)])


def test_csv_has_quotes_only_where_they_are_needed() -> None:
    """Around commas, quotes and ends of lines; and around an empty text, which is not null."""
    body, _ = made(30_000, "csv", "plain")
    assert b'"' not in body
    body, _ = made(30_000, "csv", "all")
    for piece in (',"",', ',"a,b",', ',"said ""so""",', ',"two\nlines",', ",Zürich,", ", b ,", ",plain,"):
        assert piece.encode() in body


def test_pyarrow_reads_as_many_csv_rows() -> None:
    """A reader that infers types, and takes the padding as well."""
    from pyarrow import csv as arrow_csv

    for version in ("plain", "numbers", "narrow"):
        body, rows = made(20_011, "csv", version)
        table = arrow_csv.read_csv(io.BytesIO(body))
        assert table.num_rows == rows
    assert table.schema.types == [pa.int64()]

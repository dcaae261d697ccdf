"""Tables from the user's own files, in a server that runs."""

from __future__ import annotations

import csv
import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envctl.errors import ConfigurationError, SeedFailed
from envctl.services.postgres import Postgres
from tests.integration.seed_postgres import ask, loader, own
from tests.integration.services.conftest import _running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from envctl.model import Endpoint

SERVICE = Postgres()
SCHEMA = "CREATE TABLE t (id int PRIMARY KEY, name text, price numeric, tags text[], extra jsonb, day date)"


@pytest.fixture(scope="module")
def at() -> Iterator[Endpoint]:
    """One server for the module, ready."""
    with _running(SERVICE) as server:
        yield server.ready().at


@pytest.fixture(autouse=True)
def empty(at: Endpoint) -> Iterator[None]:
    """Nothing is left of the test before."""
    yield
    SERVICE.clear(at, {})


def refused(at: Endpoint, folder: Path, file: Path, schema: str = SCHEMA) -> str:
    """What is said when the file is loaded."""
    with pytest.raises(SeedFailed) as caught:
        loader(at, own(folder, schema, t=file)).load()
    return caught.value.found


def parquet(path: Path, **columns: object) -> Path:
    """A Parquet file."""
    pq.write_table(pa.table(columns), path)
    return path


def lines(path: Path, *records: object) -> Path:
    """A JSONL file; texts stand as they are."""
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))
    return path


def table(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    """A CSV file."""
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def test_csv_goes_in_as_it_is(at: Endpoint, tmp_path: Path) -> None:
    """Columns by the header, in its order; quotes, line ends and a byte order mark."""
    file = tmp_path / "t.csv"
    file.write_bytes('\ufeff"name",id,tags\r\n"a ""b"",\nc",1,"{x,y}"\r\n,2,\r\n'.encode())
    loading = loader(at, own(tmp_path, SCHEMA, t=file))
    assert loading.size().bytes == file.stat().st_size
    loading.load()
    assert ask(at, "SELECT id, name, tags FROM t ORDER BY id") == [(1, 'a "b",\nc', ["x", "y"]), (2, None, None)]
    assert loading.measure()["t"]["rows"] == 2


def test_jsonl_keeps_numbers_exact_and_documents_whole(at: Endpoint, tmp_path: Path) -> None:
    """Missing keys are null, lists go into arrays and documents alike, blank lines are none."""
    file = lines(
        tmp_path / "t.jsonl",
        '{"id": 1, "name": "a\\tb\\\\c\\nd", "price": 1234567890123456789.123456789, "tags": ["x", null, "y\\"z"]}',
        "",
        {"id": 2, "extra": {"a": [1, {"b": None}]}, "day": "2026-02-03"},
    )
    loader(at, own(tmp_path, SCHEMA, t=file)).load()
    assert ask(at, "SELECT * FROM t ORDER BY id") == [
        (1, "a\tb\\c\nd", Decimal("1234567890123456789.123456789"), ["x", None, 'y"z'], None, None),
        (2, None, None, None, {"a": [1, {"b": None}]}, dt.date(2026, 2, 3)),
    ]


def test_parquet_of_many_batches(at: Endpoint, tmp_path: Path) -> None:
    """Types as Arrow writes them, nested ones as documents."""
    count = 20_000
    file = parquet(
        tmp_path / "t.parquet",
        id=pa.array(range(count), pa.int64()),
        name=pa.array([None if i % 2 else f"n\t{i}\\" for i in range(count)]),
        price=pa.array([Decimal("1.50")] * count, pa.decimal128(10, 2)),
        extra=pa.array([{"a": [i]} for i in range(count)]),
        day=pa.array([dt.date(2026, 1, 2)] * count),
    )
    loader(at, own(tmp_path, SCHEMA, t=file)).load()
    query = "SELECT count(*), sum(price), count(name) FROM t WHERE day = '2026-01-02'"
    assert ask(at, query) == [(count, Decimal("30000.00"), count // 2)]
    assert ask(at, "SELECT name, extra FROM t WHERE id IN (8, 9) ORDER BY id") == [
        ("n\t8\\", {"a": [8]}), (None, {"a": [9]})
    ]  # fmt: skip


def test_a_wrong_type_in_row_4711_is_told_with_line_column_and_value(at: Endpoint, tmp_path: Path) -> None:
    """In a CSV file whose values have line ends, the line is the file's own."""
    rows = [[i, f"a\nb{i}", "1.5"] for i in range(2, 4712)]
    rows[4709][2] = "much"
    file = table(tmp_path / "t.csv", ["id", "name", "price"], rows)
    last = file.read_text().splitlines().index('4711,"a') + 1
    assert f"{file}:{last}: column 'price': invalid input syntax for type numeric: \"much\"" in refused(
        at, tmp_path, file
    )


def test_a_wrong_type_in_jsonl_is_told_by_the_line_of_the_file(at: Endpoint, tmp_path: Path) -> None:
    """Blank lines before it count."""
    records = [{"id": n, "day": "2026-01-01"} for n in range(4710)]
    file = lines(tmp_path / "t.jsonl", *records[:10], "", "", *records[10:], {"id": 1, "day": "2026-02-31"})
    said = refused(at, tmp_path, file)
    assert f"{file}:4713: column 'day': date/time field value out of range: \"2026-02-31\"" in said


def test_a_wrong_type_in_parquet_is_told_by_its_row(at: Endpoint, tmp_path: Path) -> None:
    """Rows are numbered from 1, over all batches."""
    file = parquet(tmp_path / "t.parquet", id=[str(n) for n in range(9000)] + ["x"])
    assert f"{file}: row 9001: column 'id': invalid input syntax for type integer: \"x\"" in refused(at, tmp_path, file)


def test_a_duplicate_key_is_told_with_the_line_and_the_key(at: Endpoint, tmp_path: Path) -> None:
    """Keys stay in place while a file is loaded."""
    file = table(tmp_path / "t.csv", ["id"], [[1], [2], [1]])
    said = refused(at, tmp_path, file)
    assert f"{file}:4: " in said
    assert "t_pkey" in said
    assert "Key (id)=(1) already exists" in said


def test_a_missing_parent_is_told_with_the_constraint_and_the_key(at: Endpoint, tmp_path: Path) -> None:
    """Where the file has it cannot be told."""
    file = table(tmp_path / "t.csv", ["id", "up"], [[1, 1], [2, 7]])
    said = refused(at, tmp_path, file, "CREATE TABLE t (id int PRIMARY KEY, up int REFERENCES t)")
    assert "t_up_fkey" in said
    assert "Key (up)=(7) is not present" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,nme\n1,x\n", "no column 'nme'; did you mean 'name'?"),
        ("id,id\n1,1\n", "named twice"),
        ("name\nx\n", "the column is NOT NULL"),
    ],
)
def test_a_header_that_does_not_fit_is_a_problem_of_the_dataset(
    at: Endpoint, tmp_path: Path, content: str, said: str
) -> None:
    """Before anything is loaded; the file is named."""
    file = tmp_path / "t.csv"
    file.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        loader(at, own(tmp_path, SCHEMA, t=file)).load()
    assert said in str(caught.value)
    assert str(file) in str(caught.value)
    assert ask(at, "SELECT to_regclass('t')") == [(None,)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.jsonl", '{"id": 1}\n{"id": \n', "t.jsonl:2: is no JSON"),
        ("t.jsonl", "[1]\n", "t.jsonl:1: is no JSON object"),
        ("t.parquet", "no", "is no Parquet file"),
        ("t.csv", "", "names no column"),
        ("t.csv", "id,name\n1,\udcff\n", "invalid byte sequence"),
    ],
)
def test_a_damaged_file_is_told(at: Endpoint, tmp_path: Path, name: str, content: str, said: str) -> None:
    """With its line where it has one."""
    file = tmp_path / name
    file.write_text(content, "utf-8", "surrogateescape")
    assert said in refused(at, tmp_path, file)


def test_a_key_that_comes_late_is_told(at: Endpoint, tmp_path: Path) -> None:
    """The first thousand lines make the columns."""
    file = lines(tmp_path / "t.jsonl", *({"id": n} for n in range(1200)), {"id": 9999, "name": "x"})
    assert "t.jsonl:1201: key 'name' is in none of the first 1000 lines" in refused(at, tmp_path, file)


def test_the_same_file_twice_gives_the_same_measures(at: Endpoint, tmp_path: Path) -> None:
    """And a changed row is a difference that is told by its table."""
    file = table(tmp_path / "t.csv", ["id", "name"], [[n, f"n{n}"] for n in range(100)])
    dataset = own(tmp_path, SCHEMA, t=file)
    loader(at, dataset).load()
    recorded = loader(at, dataset).measure()
    ask(at, "UPDATE t SET name = 'x' WHERE id = 5")
    loading = loader(at, dataset)
    assert "table t holds as many rows" in loading.difference(recorded, loading.measure())

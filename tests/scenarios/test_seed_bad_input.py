"""Bad datasets on real services: where what is wrong stands; and when it is mended, the next `seed` makes it good."""

from __future__ import annotations

import csv
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.scenarios.program import Said
    from tests.scenarios.scene import Scene

ROWS, WRONG = 6000, 4711
SCHEMA = """
CREATE TABLE items (
    id int PRIMARY KEY, name text NOT NULL, price numeric(8, 2), bought timestamptz CHECK (bought > '2020-01-01')
);
"""
COLUMNS = ("id", "name", "price", "bought")
TAKEN = 'duplicate key value violates unique constraint "items_pkey"; Key (id)=(17) already exists'
BAD_CELLS = {
    "a wrong type": ("price", "cheap", "column 'price': invalid input syntax for type numeric: \"cheap\""),
    "a duplicate key": ("id", "17", TAKEN),
    "a violated constraint": ("bought", "2019-01-01T00:00:00Z", 'violates check constraint "items_bought_check"'),
}
GENERATED = {
    "row % 4711": "row 4711 of relation items: duplicate key value",
    "row * 455834": "column 'id', row 4712 of relation items: 2147889808 does not fit",
}


@pytest.fixture(scope="module")
def core(new_scene: Callable[[], AbstractContextManager[Scene]]) -> Iterator[Scene]:
    """PostgreSQL and Redis, for all tests; each leaves a dataset that is whole."""
    with new_scene() as scene:
        scene.envctl("up", "--profile", "core")
        (scene.folder / "items.sql").write_text(SCHEMA)
        yield scene


def dataset(scene: Scene, **parts: object) -> Path:
    """The dataset `bad` with these parts."""
    file = scene.folder / "bad.yaml"
    file.write_text(json.dumps(parts, indent=1))
    return file


def rows() -> list[dict[str, str | None]]:
    """Rows that fit."""
    return [
        {"id": str(n), "name": f"n{n}", "price": "1.50", "bought": "2025-01-01T00:00:00Z"} for n in range(1, ROWS + 1)
    ]


def as_csv(file: Path, table: list[dict[str, str | None]]) -> str:
    """The file, and where in it row 4711 is, after the line that names the columns."""
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, COLUMNS)
        writer.writeheader()
        writer.writerows(table)
    return f"{file}:{WRONG + 1}: "


def as_jsonl(file: Path, table: list[dict[str, str | None]]) -> str:
    """The file, and where in it row 4711 is."""
    file.write_text("".join(json.dumps(row) + "\n" for row in table))
    return f"{file}:{WRONG}: "


def as_parquet(file: Path, table: list[dict[str, str | None]]) -> str:
    """The file, in several row groups, and where in it row 4711 is."""
    pq.write_table(pa.table({name: [row[name] for row in table] for name in COLUMNS}), file, row_group_size=1000)
    return f"{file}: row {WRONG}: "


WRITERS = {"csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet}


def refused(scene: Scene, *arguments: str, exits: int = 1) -> Said:
    """A `seed` that must fail: with what was wanted, found, and is to be done."""
    said = scene.envctl("seed", *arguments, exits=exits)
    lines = said.err.splitlines()
    assert lines[0].startswith("error: ")
    assert any(line.startswith("  found: ") for line in lines)
    assert any(line.startswith("  do:    ") for line in lines)
    assert "error ignored" not in said.text, "a library wrote to stderr"
    return said


def mended(scene: Scene, name: str = "./bad.yaml") -> None:
    """The next `seed` makes it good."""
    scene.envctl("seed", name)
    scene.envctl("seed", "--verify", "--service", "postgres")


@pytest.mark.parametrize("bad", BAD_CELLS)
def test_row_4711_is_told_with_file_place_column_and_value(core: Scene, bad: str) -> None:
    """In the words of the server, and by the lines of the file; in each of the forms that a file may have."""
    column, value, told = BAD_CELLS[bad]
    wrong = rows()
    wrong[WRONG - 1][column] = value
    for form, write in WRITERS.items():
        file = core.folder / f"items.{form}"
        place = write(file, wrong)
        dataset(core, postgres={"sql": "items.sql", "tables": {"items": {form: file.name}}})
        said = refused(core, "./bad.yaml")
        assert place in said.err
        assert told in said.err
    write(file, rows())
    mended(core)


@pytest.mark.parametrize("id_", GENERATED)
def test_a_generated_row_that_does_not_fit_is_told_with_its_relation(core: Scene, id_: str) -> None:
    """By its number, from 0 as `row` counts."""

    def items(expression: str) -> None:
        relation = {"rows": ROWS, "columns": {"id": expression, "name": "text(row)"}}
        dataset(core, generate={"items": relation}, postgres={"sql": "items.sql", "tables": {"items": "items"}})

    items(id_)
    assert GENERATED[id_] in refused(core, "./bad.yaml").err
    items("row")
    mended(core)


def test_tables_and_columns_that_are_not_there_are_all_told_with_their_lines(core: Scene) -> None:
    """Only the database can know: also a schema that does not exist, and a kind that does not go into a column."""
    (core.folder / "few.csv").write_text("id,nam\n1,a\n")
    tables = {
        "itmes": {"csv": "few.csv"},
        "ghost.items": {"csv": "few.csv"},
        "items": {"from": "r", "columns": {"id": "text(row)", "name": "text(row)"}},
    }
    parts = {"generate": {"r": {"rows": 3, "columns": {"n": "row"}}}}
    file = dataset(core, **parts, postgres={"sql": "items.sql", "tables": tables})
    said = refused(core, "./bad.yaml", exits=2)
    lines = file.read_text().splitlines()
    for written, told in [
        ('"itmes"', "postgres.tables.itmes: "),
        ('"ghost.items"', "postgres.tables.ghost.items: "),
        ('"id"', "postgres.tables.items.id: text does not go into integer"),
    ]:
        line = 1 + next(number for number, text in enumerate(lines) if written in text)
        assert f"{file}:{line}: {told}" in said.err
    assert "did you mean 'items'?" in said.err
    assert "there is no schema 'ghost'" in said.err
    assert "nothing was changed" not in said.err, "what was there before is gone by then"
    dataset(
        core,
        **parts,
        postgres={
            "sql": "items.sql",
            "tables": {"items": {"from": "r", "columns": {"id": "row", "name": "text(row)"}}},
        },
    )
    mended(core)


def test_what_a_reader_can_tell_is_told_before_anything_is_changed(core: Scene) -> None:
    """Missing files, settings that topics do not have, a broken line: all at once, and what is loaded stays."""
    core.envctl("seed", "small", "--scale", "0.01")
    (core.folder / "ragged.csv").write_text("id,name\n1,a\n2\n")
    file = dataset(
        core,
        postgres={"sql": ["gone.sql"], "tables": {"items": {"csv": "gone.csv"}, "ragged": {"csv": "ragged.csv"}}},
        kafka={"topics": {"t": {"config": {"retention.msec": 1}}}},
        redis={"commands": "gone.redis"},
        minio={"buckets": {"app": {"folders": "gone"}}},
        python="gone.py:load",
    )
    said = refused(core, "./bad.yaml", exits=2)
    missing = ("gone.sql", "gone.csv", "gone.redis", "gone.py")
    assert all(f"no such file: {file.parent / name}" in said.err for name in missing)
    assert f"no such folder: {file.parent / 'gone'}" in said.err
    assert "kafka.topics.t.config.retention.msec: is no setting of topics; did you mean 'retention.ms'?" in said.err
    assert f"{file.parent / 'ragged.csv'}:3: " in said.err
    assert said.err.count(f"{file}:") >= len(missing) + 2
    core.envctl("seed", "small", "--scale", "0.01", "--verify")


def test_a_disk_that_is_too_small_is_told_with_the_scale_that_would_fit(core: Scene) -> None:
    """Before anything is changed, and without a look at all rows: four thousand gigabytes of them."""
    core.envctl("seed", "small", "--scale", "0.01")
    dataset(
        core,
        generate={"r": {"rows": 2_000_000_000, "columns": {"id": "row", "name": f"'{'x' * 200}'"}}},
        postgres={"sql": "items.sql", "tables": {f"items{number}": "r" for number in range(10)}},
    )
    said = refused(core, "./bad.yaml")
    assert "room for dataset 'bad' at scale 1: about" in said.err
    assert "GB free at" in said.err
    assert 0 < float(said.err.rpartition("--scale ")[2]) < 1
    core.envctl("seed", "small", "--scale", "0.01", "--verify")


@contextmanager
def another_password(scene: Scene, service: str) -> Iterator[str]:
    """What envctl knows as the administrator's password is not what the server knows."""
    file = scene.state / "envctl" / scene.name / "environment.json"
    before = file.read_text()
    state = json.loads(before)
    state["secrets"][service]["admin"] = "not-the-password"
    file.write_text(json.dumps(state))
    try:
        yield "not-the-password"
    finally:
        file.write_text(before)


@pytest.mark.parametrize("service", ["postgres", "redis"])
def test_refused_credentials_are_told_without_them(core: Scene, service: str) -> None:
    """And what to do; with the right ones the next `seed` makes it good."""
    core.envctl("seed", "small", "--scale", "0.01")
    with another_password(core, service) as wrong:
        said = refused(core, "small", "--scale", "0.02", "--service", service)
        assert "envctl down" in said.err
        assert wrong not in said.text
    core.envctl("seed", "small", "--scale", "0.02")
    core.envctl("seed", "--verify")


def test_a_reference_to_a_shipped_table_is_told_where_it_belongs(core: Scene) -> None:
    """The tables that ship have no keys yet when the first SQL runs; it is the first thing that users write."""
    table = "CREATE TABLE reviews (id int PRIMARY KEY, product_id int {});\n"
    (core.folder / "reviews.sql").write_text(table.format("REFERENCES products (id)"))
    more = {"generate": {"reviews": {"rows": 50, "columns": {"id": "row", "product_id": "ref(products) + 1"}}}}
    fill = {"sql": {"reviews": "reviews.sql"}, "tables": {"reviews": "reviews"}}
    dataset(core, extends="small", **more, postgres=fill)
    said = refused(core, "./bad.yaml", "--scale", "0.05")
    assert f"{core.folder / 'reviews.sql'}:1: " in said.err
    assert "postgres.after" in said.err
    (core.folder / "reviews.sql").write_text(table.format(""))
    (core.folder / "keys.sql").write_text("ALTER TABLE reviews ADD FOREIGN KEY (product_id) REFERENCES products;\n")
    dataset(core, extends="small", **more, postgres={**fill, "after": {"mine": "keys.sql"}})
    core.envctl("seed", "./bad.yaml", "--scale", "0.05")
    core.envctl("seed", "--verify")


def test_a_dataset_that_was_edited_is_loaded_anew_and_that_is_said(core: Scene) -> None:
    """By `up`, which otherwise does not even read it."""
    WRITERS["csv"](core.folder / "items.csv", rows())
    dataset(core, postgres={"sql": "items.sql", "tables": {"items": {"csv": "items.csv"}}})
    up = ("up", "--profile", "core", "--seed", "./bad.yaml")
    core.envctl(*up)
    assert "loaded already" in core.envctl(*up).out
    WRITERS["csv"](core.folder / "items.csv", rows()[:-1])
    assert "removed dataset 'bad', whose files have changed: 1 table" in core.envctl(*up).out
    core.envctl("seed", "--verify", "--service", "postgres")


def test_two_seeds_at_once_come_one_after_the_other(core: Scene) -> None:
    """The second says whom it waits for, and finds everything there."""
    core.envctl("seed", "small", "--scale", "0.01")
    first = core.start("seed", "small", "--scale", "10")
    core.hears(first, "postgres  ")
    second = core.start("seed", "small", "--scale", "10", "--json")
    first.finish()
    events = second.finish().events
    assert {part["outcome"] for part in events[-1]["services"].values()} == {"there"}
    waited = [event["reason"] for event in events if event["event"] == "lock.waiting"]
    assert waited in ([], [f"process {first.process.pid} works on it"])
    core.envctl("seed", "small", "--scale", "0.01")


def test_an_environment_that_is_not_there_is_told(scene: Scene) -> None:
    """Nothing is made by asking for data."""
    for arguments in (("small",), ("--verify",)):
        said = refused(scene, *arguments)
        assert "envctl" in said.err.rpartition("do:")[2]
    assert scene.traces() == []

"""Tables and views by Spark SQL, in a server that runs."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING

import pytest

from envctl.errors import Interrupted, SeedFailed
from envctl.model import Identity
from envctl.seeding.facts import Fact, Facts
from envctl.seeding.journal import Journal
from envctl.seeding.loading import Job
from envctl.seeding.spec import Dataset, Spark
from envctl.seeding.world import World
from envctl.services.minio import Minio
from envctl.services.spark_connect import SparkConnect
from envctl.services.spark_connect.seeding import SparkLoader
from envctl.services.spark_connect.seeding import loader as loading
from envctl.state import StateFolder
from tests.integration.services.conftest import Running, _running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICE = SparkConnect()

SQL = (
    "-- The place is empty yet.\nCREATE TABLE numbers (id BIGINT, day DATE) USING parquet LOCATION 's3a://app/seeded/'",
    "CREATE OR REPLACE VIEW large AS SELECT id FROM numbers WHERE id > 10",
    "CREATE DATABASE more",
    "CREATE VIEW more.one AS SELECT 1 AS a, 'x' AS b",
    "CREATE GLOBAL TEMP VIEW everywhere AS SELECT 2 AS a",
)
MADE = ["default.numbers", "default.large", "more", "more.one", "global_temp.everywhere"]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """One server with MinIO beside it for the module, both ready."""
    with _running(SERVICE, Minio()) as server:
        yield server.ready()


@pytest.fixture(autouse=True)
def empty(server: Running, tmp_path: Path) -> Iterator[None]:
    """Nothing is left of the test before."""
    yield
    SERVICE.clear(server.at, loader(server, tmp_path).footprint())


def job(folder: Path, sql: tuple[str, ...] = SQL, clear: tuple[str, ...] = ()) -> Job:
    """What a loader is given; jobs of one folder share a journal, as runs one after the other do."""

    def unknown(relation: str, row: int) -> Fact:
        raise AssertionError((relation, row))

    dataset = Dataset("own", folder / "own.yaml", spark=Spark(sql, clear))
    state = StateFolder("state", folder)
    state.create()
    notes = Journal(state).notes("spark-connect")
    return Job(dataset, World(dataset), Facts(unknown), notes, lambda _, __: None, stop=threading.Event())


def loader(server: Running, folder: Path, sql: tuple[str, ...] = SQL, clear: tuple[str, ...] = ()) -> SparkLoader:
    """A loader as the orchestrator makes it."""
    return SparkLoader(server.at, job(folder, sql, clear))


def rows(server: Running, query: str) -> list[tuple[object, ...]]:
    """What another session sees, through Spark's own client."""
    session = SERVICE.handle(server.at).session()
    try:
        return [tuple(row) for row in session.sql(query).collect()]
    finally:
        session.stop()


def test_other_sessions_see_what_was_made(server: Running, tmp_path: Path) -> None:
    """Tables, views, databases, and global temporary views."""
    loader(server, tmp_path).load()
    assert rows(server, "SELECT * FROM more.one") == [(1, "x")]
    assert rows(server, "SELECT * FROM global_temp.everywhere") == [(2,)]
    assert {row[1] for row in rows(server, "SHOW TABLES IN default")} == {"numbers", "large"}


def test_a_table_with_columns_is_made_before_its_files(server: Running, tmp_path: Path) -> None:
    """And has their rows when they come, with columns from the folders' names."""
    loader(server, tmp_path).load()
    session = SERVICE.handle(server.at).session()
    try:
        session.sql("SELECT id, DATE'2025-01-02' AS day FROM range(20)").write.partitionBy("day").parquet(
            "s3a://app/seeded/", mode="append"
        )
        assert rows(server, "SELECT count(*), min(day) FROM numbers")[0][0] == 20
        assert rows(server, "SELECT count(*) FROM large") == [(9,)]
    finally:
        session.stop()
        server.execute("sh", "-c", "rm -rf /data/app/seeded", service="minio")


def test_columns_and_definitions_are_measured(server: Running, tmp_path: Path) -> None:
    """The same in every load."""
    one = loader(server, tmp_path)
    one.load()
    section = one.measure()
    assert list(section) == MADE
    assert section["default.numbers"]["columns"] == {"id": "bigint", "day": "date"}
    SERVICE.clear(server.at, one.footprint())
    one.load()
    assert one.measure() == section


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("DROP VIEW more.one", "spark-connect more.one: is not there"),
        ("ALTER VIEW more.one AS SELECT 1 AS a", "spark-connect more.one, column b: wanted string, found none"),
        ("ALTER VIEW large AS SELECT id FROM numbers", "spark-connect default.large: the definition of the view is"),
    ],
)
def test_the_first_difference_is_named(server: Running, tmp_path: Path, change: str, difference: str) -> None:
    """A view that is gone, has other columns, or another text."""
    one = loader(server, tmp_path)
    one.load()
    before = one.measure()
    assert one.difference(before, before) == ""
    rows(server, change)
    assert one.difference(before, one.measure()).startswith(difference)


def test_clearing_removes_what_was_made_and_nothing_else(server: Running, tmp_path: Path) -> None:
    """Without the dataset; once more is fine."""
    rows(server, "CREATE OR REPLACE VIEW mine AS SELECT 1")
    one = loader(server, tmp_path)
    one.load()
    assert SERVICE.clear(server.at, one.footprint()) == "5 of 5 tables and views"
    assert rows(server, "SHOW TABLES IN default") == [("default", "mine", False)]
    assert rows(server, "SHOW DATABASES") == [("default",)]
    assert SERVICE.clear(server.at, one.footprint()) == "0 of 5 tables and views"
    rows(server, "DROP VIEW mine")


def test_a_datasets_own_statements_clear_it(server: Running, tmp_path: Path) -> None:
    """Also when some of it is gone."""
    one = loader(server, tmp_path, clear=("DROP VIEW large", "DROP TABLE numbers"))
    one.load()
    rows(server, "DROP VIEW large")
    SERVICE.clear(server.at, one.footprint())
    assert rows(server, "SHOW TABLES IN default") == []


def test_names_that_are_taken_are_in_the_way(server: Running, tmp_path: Path) -> None:
    """The dataset's own are not."""
    rows(server, "CREATE OR REPLACE VIEW large AS SELECT 1")
    one = loader(server, tmp_path)
    assert one.conflicts() == ["view default.large is there"]
    rows(server, "DROP VIEW large")
    assert one.conflicts() == []
    one.load()
    assert one.conflicts() == []


def test_a_second_load_changes_nothing(server: Running, tmp_path: Path) -> None:
    """Although its statements could not be run twice."""
    loader(server, tmp_path).load()
    loader(server, tmp_path).load()
    assert loader(server, tmp_path).present()


def test_a_stopped_load_is_run_again(server: Running, tmp_path: Path) -> None:
    """From the first statement on."""
    stopped = job(tmp_path)
    stopped.progress = lambda _, __: stopped.stop.set()
    with pytest.raises(Interrupted):
        SparkLoader(server.at, stopped).load()
    assert not loader(server, tmp_path).present()
    loader(server, tmp_path).load()
    assert list(loader(server, tmp_path).measure()) == MADE


def test_after_a_restart_of_spark_all_is_made_again(server: Running, tmp_path: Path) -> None:
    """The catalog was in its memory."""
    loader(server, tmp_path).load()
    server.restart("spark-connect")
    server.ready()
    assert not loader(server, tmp_path).present()
    loader(server, tmp_path).load()
    assert loader(server, tmp_path).present()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE VIEW broken AS\nSELECT * FROM nowhere", r"TABLE_OR_VIEW_NOT_FOUND.*nowhere"),
        ("CREATE VIEW broken AS\nSELEC", "PARSE_SYNTAX_ERROR"),
        ("CREATE VIEW broken AS\nSELECT a FROM range(1)", "UNRESOLVED_COLUMN"),
    ],
)
def test_a_refused_statement_is_named_by_its_first_words(
    server: Running, tmp_path: Path, statement: str, reason: str
) -> None:
    """With Spark's own reason, and without its stack trace."""
    with pytest.raises(SeedFailed, match=reason) as caught:
        loader(server, tmp_path, (statement,)).load()
    assert "CREATE VIEW broken AS SELE" in caught.value.wanted
    assert "\n" not in caught.value.found


def test_a_place_that_is_not_there_is_waited_for_and_named(
    server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MinIO is filled at the same time."""
    monkeypatch.setattr(loading, "STORAGE_SECONDS", 1.0)
    statement = "CREATE TABLE numbers (id BIGINT) USING parquet LOCATION 's3a://nobucket/x'"
    with pytest.raises(SeedFailed, match="NoSuchBucket"):
        loader(server, tmp_path, (statement,)).load()


def test_a_wrong_token_is_said_without_it(server: Running, tmp_path: Path) -> None:
    """And so is a server that is not there."""
    stranger = dataclasses.replace(server.at, app=Identity("app", "a-wrong-word"))
    with pytest.raises(SeedFailed, match="unauthenticated") as caught:
        SparkLoader(stranger, job(tmp_path)).load()
    assert "a-wrong-word" not in str(caught.value)
    nowhere = dataclasses.replace(server.at, ports={"spark-connect": 1})
    with pytest.raises(SeedFailed, match="unavailable"):
        SparkLoader(nowhere, job(tmp_path)).load()

"""The files of the dataset `small`, and what Spark makes of them: read by their users' own clients, and compared.

Nothing here asks the generator.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import envctl
from tests.scenarios.readers import Readers, Row, by, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from pyspark.sql.connect.session import SparkSession

    from tests.scenarios.scene import Scene

Record = dict[str, Any]

PLAUSIBLE = {"°C": (-10, 36), "hPa": (990, 1036), "%": (45, 91), "m/s": (0, 46)}
"""What sensors read, by unit."""

VERSIONS = (3, 4, 5, 6)
"""Schema versions of which there are Parquet files."""


@pytest.fixture(scope="module")
def lake(new_scene: Callable[[], AbstractContextManager[Scene]]) -> Iterator[tuple[Readers, SparkSession]]:
    """Objects, tables and Spark, loaded once; nobody changes them."""
    with new_scene() as scene, pytest.MonkeyPatch.context() as patch:
        services = (word for name in ("postgres", "minio", "spark-connect") for word in ("--service", name))
        scene.envctl("up", *services, "--seed", "small")
        patch.setenv("XDG_STATE_HOME", str(scene.state))
        session = envctl.attach(scene.name).spark.session()
        yield Readers(scene.envctl("env", "--format", "json").document), session
        session.stop()


@pytest.fixture
def files(lake: tuple[Readers, SparkSession]) -> Readers:
    """Who reads tables and objects."""
    return lake[0]


@pytest.fixture
def spark(lake: tuple[Readers, SparkSession]) -> SparkSession:
    """A session of Spark's own client."""
    return lake[1]


def rows(files: Readers, **wanted: object) -> list[Row]:
    """The rows of processed_files with these values."""
    return [row for row in files.tables["processed_files"] if {**row, **wanted} == row]


def records(row: Row, body: bytes) -> list[Record]:
    """The records of a file, by the reader of its format.

    Raises:
        ValueError: it is none.

    """
    if row["format"] == "parquet":
        try:
            return pq.read_table(io.BytesIO(body)).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise ValueError(error) from error
    if row["format"] == "csv":
        return [*csv.DictReader(io.StringIO(body.decode("utf-8")), strict=True)]
    return [json.loads(line, parse_float=Decimal) for line in body.decode("utf-8").splitlines()]


def shape(record: Record) -> Any:  # noqa: ANN401 - names, nested
    """The names of a record's fields, with those of nested ones."""
    return [[name, shape(value)] if isinstance(value, dict) else name for name, value in record.items()]


def columns(files: Readers, version: int) -> list[dict[str, Any]]:
    """What schema_versions says of a version."""
    (row,) = [row for row in files.tables["schema_versions"] if row["version"] == version]
    return row["columns"]


def flat(record: Record) -> Record:
    """A record of any version by the newest version's leaves, without what it has not."""
    record = {**record, **record.pop("measurement", {}), **record.pop("place", {})}
    return {{"device": "sensor", "reading": "value"}.get(name, name): value for name, value in record.items()}


# --- Objects ----------------------------------------------------------------------------------------------------------


def test_processed_files_are_the_objects(files: Readers) -> None:
    """Each key, its size and its checksum, which is also its ETag; and no object more."""
    assert files.keys() == sorted(row["object_key"] for row in rows(files))
    for row in rows(files):
        body, stat = files.body(row["object_key"]), files.store.stat_object(row["bucket"], row["object_key"])
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        assert (len(body), digest, stat.etag) == (row["size"], row["checksum"], row["checksum"])
    assert sorted(row["size"] for row in rows(files)) == [0] + [1_000_000] * 10


def test_intact_files_have_the_rows_and_the_columns_that_are_said(files: Readers) -> None:
    """By the reader of each format; the columns drift as schema_versions has it."""
    intact = [row for row in rows(files) if row["status"] != "rejected"]
    assert {(row["format"], row["schema_version"]) for row in intact} == {
        ("csv", 1),
        ("jsonl", 2),
        *(("parquet", version) for version in VERSIONS),
    }
    for row in intact:
        found = records(row, files.body(row["object_key"]))
        assert len(found) == row["row_count"]
        said = [
            [c["name"], [inner["name"] for inner in c["type"]]] if isinstance(c["type"], list) else c["name"]
            for c in columns(files, row["schema_version"])
        ]
        assert all(shape(record) == said for record in found)


def test_readings_make_sense(files: Readers) -> None:
    """In their unit, in the order of time, of the day that the key says; a few are missing."""
    for row in (row for row in rows(files, status="loaded") if row["format"] != "csv"):
        found = [flat(record) for record in records(row, files.body(row["object_key"]))]
        for record in found:
            low, high = PLAUSIBLE[record["unit"]]
            assert record["value"] is None or low <= record["value"] <= high
        assert 0 < sum(record["value"] is None for record in found) < len(found) // 50
        times = [plain(record["at"]) for record in found]
        assert times == sorted(times)
        assert all(f"/date={time[:10]}/" in row["object_key"] for time in (times[0], times[-1]))


def test_what_was_rejected_is_as_bad_as_its_reason(files: Readers) -> None:
    """Wrong encoding, cut off, corrupt, empty: one of each, and no reader takes it."""
    rejected = {row["reason"]: row for row in rows(files, status="rejected")}
    bodies = {reason: files.body(row["object_key"]) for reason, row in rejected.items()}
    assert set(rejected) == {"not UTF-8", "ends in the middle of a record", "not a readable file", "no bytes"}
    for reason in rejected.keys() - {"no bytes"}:
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the reader of the format says
            records(rejected[reason], bodies[reason])
    *whole, broken = bodies["ends in the middle of a record"].splitlines()
    assert len([json.loads(line) for line in whole]) == rejected["ends in the middle of a record"]["row_count"]
    assert broken
    assert bodies["no bytes"] == b""
    assert bodies["not UTF-8"].decode("utf-16").startswith("event_id,device,at")
    assert rejected["not a readable file"]["format"] == "parquet"


def test_duplicates_are_copies_of_an_earlier_file_and_nothing_else_is_one(files: Readers) -> None:
    """Byte for byte, in the order in which they arrived."""
    seen: dict[bytes, Row] = {}
    for row in sorted(rows(files), key=lambda row: row["arrived_at"]):
        body = files.body(row["object_key"])
        assert (body in seen) == (row["status"] == "duplicate"), row["object_key"]
        seen[body] = row


def test_late_files_came_late(files: Readers) -> None:
    """More than a day after those that were in time."""
    for row in rows(files):
        day = dt.datetime.fromisoformat(row["object_key"].partition("date=")[2][:10] + "T00:00Z")
        assert (dt.datetime.fromisoformat(row["arrived_at"]) - day > dt.timedelta(days=2)) == row["late"]


def test_an_application_can_write_and_remove_objects(files: Readers) -> None:
    """Beside the dataset's own, as the app identity."""
    files.store.put_object("app", "mine/note.txt", io.BytesIO(b"hello"), 5)
    assert files.body("mine/note.txt") == b"hello"
    files.store.remove_object("app", "mine/note.txt")
    files.store.make_bucket("mine")
    files.store.remove_bucket("mine")


# --- Spark ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_a_table_has_the_records_of_its_versions_files(files: Readers, spark: SparkSession, version: int) -> None:
    """Read by Spark from s3a, counted in processed_files, compared with what pyarrow reads."""
    loaded = rows(files, status="loaded", schema_version=version)
    table = spark.table(f"readings_v{version}")
    assert table.count() == sum(row["row_count"] for row in loaded)
    wanted = [record for row in loaded for record in records(row, files.body(row["object_key"]))]
    every = table.orderBy("event_id").drop("source", "date").toArrow().to_pylist()
    assert [timeless(record) for record in every] == [timeless(record) for record in wanted]


def timeless(record: Record) -> Record:
    """Times as texts: Spark gives them in the zone of its session."""
    return {name: plain(value) for name, value in record.items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_table_has_the_columns_that_schema_versions_says(files: Readers, spark: SparkSession, version: int) -> None:
    """Types too, nested ones as structs; source and day come from the folders."""
    said = {c["name"]: typed(c["type"]) for c in columns(files, version)}
    assert dict(spark.table(f"readings_v{version}").dtypes) == {**said, "source": "string", "date": "date"}


def typed(said: Any) -> str:  # noqa: ANN401 - a name, or fields
    """A type of schema_versions as Spark writes it."""
    if isinstance(said, list):
        fields = (f"{field['name']}:{typed(field['type'])}" for field in said)
        return f"struct<{','.join(fields)}>"
    return str(said)


def test_the_view_of_all_has_every_loaded_record_once(files: Readers, spark: SparkSession) -> None:
    """In the newest schema, whatever it was written in."""
    counted = {row["version"]: row["count"] for row in spark.table("readings").groupBy("version").count().collect()}
    assert counted == {v: sum(r["row_count"] for r in rows(files, status="loaded", schema_version=v)) for v in VERSIONS}
    missing = spark.sql("SELECT count(*) - count(value), count(*) - count(unit), count(*) - count(site) FROM readings")
    ((values, *others),) = missing.collect()
    assert values > 0
    assert others == [0, 0]


def test_spark_and_postgresql_tell_the_same_story(files: Readers, spark: SparkSession) -> None:
    """By source and day, as the keys of processed_files have it."""
    query = "SELECT source, CAST(date AS string), count(*) FROM readings GROUP BY 1, 2"
    found = {f"source={source}/date={day}": count for source, day, count in map(tuple, spark.sql(query).collect())}
    loaded = rows(files, status="loaded", format="parquet")
    wanted = {"/".join(row["object_key"].split("/")[3:5]): row["row_count"] for row in loaded}
    assert found == wanted


def test_spark_reads_the_lines_too(files: Readers, spark: SparkSession) -> None:
    """CSV and JSON lines, by Spark's own readers and the paths of processed_files."""
    for row in [row for row in rows(files, status="loaded") if row["format"] != "parquet"]:
        path = f"s3a://{row['bucket']}/{row['object_key']}"
        read = spark.read.csv(path, header=True) if row["format"] == "csv" else spark.read.json(path)
        assert read.count() == row["row_count"]
        assert set(read.columns) == {column["name"] for column in columns(files, row["schema_version"])}


def test_the_corrupt_file_is_beside_the_tables_and_cannot_be_read(files: Readers, spark: SparkSession) -> None:
    """A table over its folder would fail: it lies in another."""
    (row,) = rows(files, reason="not a readable file")
    assert f"/v{row['schema_version']}/" in row["object_key"]
    with pytest.raises(Exception, match=r"(?i)parquet|corrupt|read"):
        spark.read.parquet(f"s3a://{row['bucket']}/{row['object_key']}").collect()
    assert all(row["object_key"] not in file for file in spark.table("readings").inputFiles())


def test_an_application_can_write_with_spark_and_read_with_others(files: Readers, spark: SparkSession) -> None:
    """Parquet through s3a, which pyarrow then finds."""
    spark.table("readings").limit(10).write.parquet("s3a://app/mine/ten")
    keys = [found.object_name for found in files.store.list_objects("app", "mine/ten/", recursive=True)]
    try:
        found = [pq.read_table(io.BytesIO(files.body(key))).num_rows for key in keys if key.endswith(".parquet")]
        assert sum(found) == 10
    finally:
        for key in keys:
            files.store.remove_object("app", key)


def test_sources_are_those_of_the_pipeline(files: Readers, spark: SparkSession) -> None:
    """Whoever reads a source in Spark finds its schemas in PostgreSQL."""
    sources = {row["source"] for row in spark.table("readings").select("source").distinct().collect()}
    assert sources == {row["source"] for row in files.tables["schema_versions"]}
    assert by(files.tables["schema_versions"], "version").keys() == {*range(1, 7)}

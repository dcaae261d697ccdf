"""Laws of the shipped datasets: whatever service one looks into, it is the same world, and one that makes sense."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envctl.seeding.objects import Defect
from tests.contracts import worlds
from tests.contracts.worlds import GOLDEN, SCALES, Row, World

TINY = tuple((name, 0.001) for name, _ in SCALES)
NON_EMPTY = {"small": 10, "medium": 100, "large": 1000}
MEGABYTES = {"small": 1, "medium": 10, "large": 100}


@pytest.fixture(params=SCALES, ids=lambda scale: f"{scale[0]}@{scale[1]:g}", scope="module")
def world(request: pytest.FixtureRequest) -> World:
    """Each dataset in its turn, at a scale that a test can afford."""
    return worlds.shared(*request.param)


# --- Values are functions of their place ------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_any_range_of_rows_alone_has_the_values_that_it_has_in_the_whole(data: st.DataObject) -> None:
    """Workers make chunks in any order, and a resume makes only those that are missing."""
    name, scale = data.draw(st.sampled_from(SCALES))
    whole, alone = worlds.shared(name, scale), worlds.fresh(name, scale)
    relation = data.draw(st.sampled_from(sorted(n for n, r in whole.relations.items() if not r.open and n != "files")))
    top = relation
    while whole.relations[top].per:
        top = whole.relations[top].per
    start = data.draw(st.integers(0, whole.relations[top].rows - 1))
    stop = data.draw(st.integers(start + 1, min(start + 50, whole.relations[top].rows)))
    part = alone.range(relation, start, stop)
    every = _whole(name, scale, relation)
    for column in whole.relations[relation].columns:
        wanted = [every[column][row] for row in part.rows.tolist()]
        assert part.column(column).pylist() == wanted, f"{relation}.{column}"


@cache
def _whole(name: str, scale: float, relation: str) -> dict[str, dict[int, Any]]:
    """Every value of a relation by column and row number."""
    found: dict[str, dict[int, Any]] = defaultdict(dict)
    world = worlds.shared(name, scale)
    for chunk in world.iterate(relation):
        for column in world.relations[relation].columns:
            found[column].update(zip(chunk.rows.tolist(), chunk.column(column).pylist(), strict=True))
    return found


def test_chunks_and_columns_in_any_order_have_the_same_values(world: World) -> None:
    """Nothing that was made before leaves a trace in what is made after."""
    again = worlds.fresh(world.dataset.name, world.dataset.scale)
    wanted = [(n, i) for n, r in world.relations.items() if not r.open and n != "files" for i in range(world.chunks(n))]
    random.Random(4711).shuffle(wanted)  # noqa: S311 - an order, no secret
    for relation, index in wanted:
        ours, theirs = world.chunk(relation, index), again.chunk(relation, index)
        for column in reversed(world.relations[relation].columns):
            assert theirs.column(column).pylist() == ours.column(column).pylist(), f"{relation}.{column}"


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_makes_the_golden_values_of_small(hash_seed: str) -> None:
    """The same on any machine and Python; `tests/contracts/worlds.py` says how to renew them when meant to change."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.contracts.worlds", "small"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
    )
    assert json.loads(ran.stdout) == json.loads(GOLDEN.read_text())


# --- Scale ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "scale"), TINY)
def test_at_a_thousandth_nothing_is_empty(name: str, scale: float) -> None:
    """`--scale` keeps the shape: each table, topic and rule for keys still has something."""
    tiny = worlds.shared(name, scale)
    for table in tiny.dataset.postgres.tables:
        assert worlds.table(tiny, table), table
    for topic in tiny.dataset.topics:
        assert worlds.topic(tiny, topic), topic
    for rule in tiny.dataset.redis.keys:
        assert worlds.keys(tiny, rule), f"{rule.relation}: {rule.key}"


def test_at_full_scale_objects_have_the_promised_number_and_size() -> None:
    """10 of 1 MB, 100 of 10 MB, 1000 of 100 MB; those of 0 bytes come on top."""
    for name, count in NON_EMPTY.items():
        rule, bodies = worlds.objects(World(worlds.spec.load(name)))
        sizes = [entry.size for entry in bodies.entries()]
        assert rule.size == MEGABYTES[name] * 10**6
        assert sorted(set(sizes)) == [0, rule.size]
        assert sizes.count(rule.size) == count


# --- The pipeline -----------------------------------------------------------------------------------------------------


def test_processed_files_are_the_objects(world: World) -> None:
    """Key, size, checksum and state of each object, from its bytes."""
    rule, bodies = worlds.objects(world)
    table = worlds.table(world, "processed_files")
    entries = list(bodies.entries())
    assert [row["object_key"] for row in table] == [entry.key for entry in entries]
    for row, entry in zip(table, entries, strict=True):
        if len(table) > 200 and row["id"] % 17:
            continue  # of a thousand objects some, so that the test takes seconds
        content = b"".join(bytes(piece) for piece in bodies.stream(entry))
        assert row["size"] == len(content) == (0 if entry.defect is Defect.EMPTY else rule.size)
        assert row["checksum"] == hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert (row["status"] == "rejected") == (entry.defect is not Defect.NONE)
        assert row["row_count"] > 0 or row["status"] == "rejected"


def test_duplicates_have_the_checksum_of_an_earlier_file_and_nobody_else_has(world: World) -> None:
    """What the pipeline calls a duplicate is one, and is found by its checksum."""
    seen: set[str] = set()
    for row in worlds.table(world, "processed_files"):
        if row["size"]:
            assert (row["checksum"] in seen) == (row["status"] == "duplicate"), row["object_key"]
            seen.add(row["checksum"])


def test_each_way_to_fail_each_format_and_each_version_is_there(world: World) -> None:
    """Also the smallest dataset has one of each."""
    entries = list(worlds.objects(world)[1].entries())
    assert {entry.defect for entry in entries} == set(Defect)
    assert {entry.format for entry in entries if entry.defect is Defect.NONE} == {"jsonl", "csv", "parquet"}
    assert {entry.version for entry in entries if entry.defect is Defect.NONE} == {"1", "2", "3", "4", "5", "6"}


def test_below_the_folders_of_the_spark_tables_lie_intact_parquet_files_alone(world: World) -> None:
    """A table over a corrupt file cannot be read."""
    entries = list(worlds.objects(world)[1].entries())
    for version in ("3", "4", "5", "6"):
        below = [e for e in entries if e.key.startswith(f"ingest/loaded/v{version}/")]
        assert {(e.format, e.version, e.defect) for e in below} == {("parquet", version, Defect.NONE)}
        assert any(f"'s3a://app/ingest/loaded/v{version}'" in sql for sql in world.dataset.spark.sql)


def test_schema_versions_say_the_columns_that_the_files_have(world: World) -> None:
    """Columns are added, removed, widened, renamed and nested as the table says."""
    rule, _ = worlds.objects(world)
    for row in worlds.table(world, "schema_versions"):
        shape = rule.versions[str(row["version"])]
        wanted = {name: list(inner) if isinstance(inner, dict) else None for name, inner in shape.items()}
        said = {
            column["name"]: [field["name"] for field in column["type"]] if isinstance(column["type"], list) else None
            for column in json.loads(row["columns"])
        }
        assert list(said.items()) == list(wanted.items())


# --- The shop, in Kafka and in Redis ----------------------------------------------------------------------------------


def test_the_order_events_replay_to_the_tables(world: World) -> None:
    """Orders, their items and their payments, every column, from nothing but the topic."""
    from tests.contracts.replay import replayed

    tables = replayed(worlds.topic(world, "shop.orders"))
    for name, rows in tables.items():
        assert rows == worlds.table(world, name), name


def test_the_product_topic_replays_to_the_products(world: World) -> None:
    """The last version of each key, without those whose last word is a tombstone."""
    messages = worlds.topic(world, "shop.products")
    last = {key: value for key, value, _, _ in messages}
    wanted = {str(row["id"]): row for row in worlds.table(world, "products")}
    assert {key: value for key, value in last.items() if value is not None} == wanted
    assert any(value is None for value in last.values())
    assert len(messages) > len(last)


@pytest.mark.parametrize("topic", ["shop.orders", "shop.products", "ingestion.runs"])
def test_the_messages_of_a_key_are_in_the_order_of_time(world: World, topic: str) -> None:
    """What is read later happened later."""
    latest: dict[str, str] = {}
    for key, _, _, timestamp in worlds.topic(world, topic):
        assert timestamp >= latest.get(key, ""), key
        latest[key] = timestamp


def test_the_cache_agrees_with_the_tables(world: World) -> None:
    """Each key of Redis, from the tables alone."""
    from tests.contracts.cached import expected

    tables = {name: worlds.table(world, name) for name in world.dataset.postgres.tables}
    found: dict[str, list[Row]] = defaultdict(list)
    for rule in world.dataset.redis.keys:
        for row in worlds.keys(world, rule):
            key = row.pop("key")
            found["session" if key.startswith("session:") else key].append(row)
    wanted = expected(tables, found)
    assert sorted(found) == sorted(wanted)
    for key in wanted:
        assert found[key] == wanted[key], key

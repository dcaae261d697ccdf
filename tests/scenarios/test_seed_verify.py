"""What is in all services is what was loaded, everywhere the same; where it is not, the first difference is named."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kafka import KafkaProducer

import envctl
from tests.scenarios.readers import Readers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.scenarios.program import Said
    from tests.scenarios.scene import Scene

GOLDEN = Path(__file__).parents[2] / "seeds" / "small.manifest.json"
"""How to renew it: seeds/README.md, "Changing them"."""

MOST_MEMORY = 256 * 1024
"""KiB that envctl may take for any dataset at any scale."""

MEASURED = """
import atexit, re, sys
from pathlib import Path
from envctl.cli import main
status = Path("/proc/self/status")
atexit.register(lambda: print(*re.findall(r"VmHWM:\\s+(\\d+) kB", status.read_text()), file=sys.stderr))
sys.argv[0] = "envctl"
main()
"""
"""envctl, whose last word on stderr is how much memory it had at most, in KiB."""

PARQUET = "ingest/loaded/v3/source=weather-01/date=2025-08-10/weather-01-06.parquet"
CSV = "ingest/loaded/v1/source=weather-01/date=2025-02-22/weather-01-01.csv"

OTHER = {
    "other.yaml": """
description: Another world.
generate:
  people:
    rows: 30
    columns: {id: row + 1, name: 'f"person-{hex(6)}"'}
  files:
    rows: 3
    columns: {name: 'f"people/{row}.csv"'}
  lines:
    per: files
    open: true
    columns: {person: "number(1, 30)"}
postgres:
  sql: other.sql
  tables: {people: people}
kafka:
  topics:
    people: {from: people, key: text(id), value: json(name=name)}
redis:
  keys:
    person: {from: people, key: 'f"person:{id}"', string: name}
minio:
  buckets:
    app:
      objects:
        files: {from: files, key: name, size: 4096, format: "'csv'", content: lines, versions: {1: {person: person}}}
spark:
  sql: other.spark.sql
""",
    "other.sql": "CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL);\n",
    "other.spark.sql": "CREATE VIEW people AS SELECT 1 AS one;\n",
}


class House:
    """An environment with all services, and all that can be done to it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        scene.envctl("up", "--profile", "full", "--seed", "small")
        self.first = self.verified().events[-1]["manifest"]
        """The manifest of the first load."""
        self.variables = scene.envctl("env", "--format", "json").document

    def verified(self, exits: int = 0) -> Said:
        """Compare all services with what was loaded."""
        return self.scene.envctl("seed", "--verify", "--json", exits=exits)

    def readers(self) -> Readers:
        """Clients that have read nothing yet."""
        return Readers(self.variables)

    def spark(self, statement: str) -> list[tuple[Any, ...]]:
        """Run Spark SQL with Spark's own client."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_STATE_HOME", str(self.scene.state))
            session = envctl.attach(self.scene.name).spark.session()
        try:
            return [tuple(row) for row in session.sql(statement).collect()]
        finally:
            session.stop()

    def postgres(self, statement: str) -> None:
        """Run SQL."""
        with self.readers().database() as connection:
            connection.execute(statement.encode())

    def redis(self, *command: object) -> None:
        """Run a command."""
        client = self.readers().redis
        client.execute_command(*command)
        client.close()

    def minio(self, key: str, body: bytes | None) -> None:
        """Store an object, or remove it."""
        store = self.readers().store
        if body is None:
            store.remove_object("app", key)
        else:
            store.put_object("app", key, io.BytesIO(body), len(body))

    def kafka(self, topic: str, partition: int) -> None:
        """Produce a record."""
        producer = KafkaProducer(bootstrap_servers=self.variables["KAFKA_BOOTSTRAP_SERVERS"])
        try:
            producer.send(topic, b"{}", b"1", partition=partition).get(30)
        finally:
            producer.close()

    def names(self) -> dict[str, set[str]]:
        """What there is in each service, by name."""
        readers = self.readers()
        try:
            return {
                "tables": {*readers.tables},
                "types": {name for (name,) in readers.query("SELECT typname FROM pg_type WHERE typtype = 'e'")},
                "topics": {*readers.topics},
                "keys": {*readers.cache},
                "objects": {*readers.keys()},
                "views": {str(name) for _, name, _ in self.spark("SHOW TABLES")},
            }
        finally:
            readers.redis.close()


@pytest.fixture(scope="module")
def house(new_scene: Callable[[], AbstractContextManager[Scene]]) -> Iterator[House]:
    """All services with `small`; a test that changes something loads it anew."""
    with new_scene() as scene:
        yield House(scene)


@pytest.fixture
def damaged(house: House) -> Iterator[House]:
    """For a test that changes something: afterwards it is as it was, by `--force`."""
    yield house
    house.scene.envctl("seed", "small", "--force")
    assert house.verified().events[-1]["manifest"] == house.first


def test_a_fresh_load_is_the_golden_one(house: House) -> None:
    """On any machine: what is read back from the services equals what the repository keeps (of PostgreSQL 17)."""
    assert house.first == json.loads(GOLDEN.read_text())


def test_another_environment_holds_just_the_same(house: House, scene: Scene) -> None:
    """Nothing of a place, a moment or a server's own numbers is in the manifest; nor of how many did the work."""
    services = ("postgres", "redis", "kafka", "minio")
    scene.envctl("up", *(word for name in services for word in ("--service", name)))
    scene.envctl("seed", "small", "--jobs", "1")
    found = scene.envctl("seed", "--verify", "--json").events[-1]["manifest"]["services"]
    assert found == {name: house.first["services"][name] for name in sorted(services)}


def md5(body: bytes) -> str:
    """The ETag of an object."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def changed(house: House) -> dict[str, str]:
    """Something in each service is other than it was."""
    house.postgres("UPDATE customers SET city = 'Elsewhere' WHERE id = 7")
    house.redis("HSET", "customer:9", "tier", "gone")
    house.minio(PARQUET, other := bytes(1_000_000))
    house.kafka("shop.orders", 2)
    house.spark("ALTER VIEW readings AS SELECT 1 AS version")
    etag = house.first["services"]["minio"]["app"]["objects"][PARQUET][1]
    return {
        "postgres": "table customers: row id=7: column 'city' is 'Elsewhere', expected 'Hamburg'",
        "redis": "key 'customer:9', field 'tier': wanted 'basic', found 'gone'",
        "minio": f"object app/{PARQUET} has other bytes: ETag {md5(other)}; loaded was {etag}",
        "kafka": "topic shop.orders, partition 2 ends at offset 3248; loaded up to 3247",
        "spark-connect": "default.readings, column source: wanted string, found none",
    }


def removed(house: House) -> dict[str, str]:
    """Something in each service is gone."""
    house.postgres("DELETE FROM order_items WHERE order_id = 5 AND position = 1")
    house.redis("ZREM", "bestsellers", "40")
    house.minio(CSV, None)
    house.spark("DROP TABLE readings_v4")
    return {
        "postgres": "table order_items: row order_id=5, position=1 is missing",
        "redis": "key 'bestsellers', score of '40': wanted 1731.0, found nothing",
        "minio": f"object app/{CSV} is missing",
        "spark-connect": "default.readings_v4: is not there",
    }


def added(house: House) -> dict[str, str]:
    """Something in each service is more than was loaded."""
    house.postgres("INSERT INTO order_items VALUES (5, 9, 2, 1, 1, 1)")
    house.redis("SET", "product:1", "{}")
    house.minio(f"{CSV}.bak", b"")
    house.kafka("ingestion.files", 0)
    return {
        "postgres": "table order_items: row order_id=5, position=9 is not of this dataset",
        "redis": "key 'product:1' was not loaded",
        "minio": f"object app/{CSV}.bak is there and was not loaded",
        "kafka": "topic ingestion.files, partition 0 ends at offset 1; loaded up to 0",
    }


@pytest.mark.parametrize("damage", [changed, removed, added], ids=lambda damage: damage.__name__)
def test_verify_names_the_first_difference_in_each_service_and_force_mends_all(
    damaged: House, damage: Callable[[House], dict[str, str]]
) -> None:
    """The very row, column, key, field, offset, object, table, with what was found and what was expected."""
    expected = damage(damaged)
    said = damaged.verified(exits=1)
    told = {e["service"]: e["difference"] for e in said.events if e["event"] == "seed.verified" and not e["equal"]}
    assert told.keys() == expected.keys()
    for service, words in expected.items():
        assert words in told[service]
    assert "`envctl seed small --force` loads it anew" in said.text


def test_seed_leaves_alone_what_a_test_has_changed(damaged: House) -> None:
    """It takes a short look whether the data is there, not whether it is unchanged; one service can be mended alone."""
    damaged.postgres("UPDATE customers SET city = 'Elsewhere' WHERE id = 7")
    damaged.redis("HSET", "customer:9", "tier", "gone")
    services = damaged.scene.envctl("seed", "small", "--json").events[-1]["services"]
    assert {part["outcome"] for part in services.values()} <= {"there"}
    city = "SELECT city FROM customers WHERE id = 7"
    assert damaged.readers().query(city) == [("Elsewhere",)]
    mended = damaged.scene.envctl("seed", "small", "--force", "--service", "postgres", "--json").events[-1]["services"]
    assert {name: part["outcome"] for name, part in mended.items()} == {"postgres": "replaced"}
    assert damaged.readers().query(city) == [("Hamburg",)]
    assert damaged.readers().redis.hget("customer:9", "tier") == "gone"


def test_of_a_dataset_that_another_replaced_nothing_is_left(house: House) -> None:
    """Tables, types, topics, keys, objects, views: first of `small`, then of the other one."""
    before = house.names()
    for name, content in OTHER.items():
        (house.scene.folder / name).write_text(content)
    house.scene.envctl("seed", "./other.yaml")
    assert house.names() == {
        "tables": {"people"},
        "types": set(),
        "topics": {"people"},
        "keys": {f"person:{number}" for number in range(1, 31)},
        "objects": {f"people/{number}.csv" for number in range(3)},
        "views": {"people"},
    }
    house.scene.envctl("seed", "small")
    assert house.names() == before
    assert house.verified().events[-1]["manifest"] == house.first


def test_large_in_small_is_what_it_should_be_and_takes_little_memory(damaged: House) -> None:
    """A thousandth of `large`: all of its objects, each a thousandth of its size."""
    seed = damaged.scene.program(sys.executable, "-c", MEASURED, "seed", "large", "--scale", "0.001").finish()
    assert int(seed.err.split()[-1]) < MOST_MEMORY
    found = damaged.verified().events[-1]
    assert found["services"]["minio"] == 1100
    assert found["services"]["postgres"] > 80_000
    assert found["services"]["kafka"] > 50_000
    assert {size for size, _ in found["manifest"]["services"]["minio"]["app"]["objects"].values()} == {0, 100_000}

"""The dataset `small` as it is in the services: one world, whichever of them its users ask.

Nothing here asks the generator: what is compared was read by the users' own clients, as the app identity.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.contracts.cached import expected
from tests.contracts.nonsense import NONSENSE, in_postgres
from tests.contracts.replay import replayed
from tests.contracts.test_datasets_in_sql import REFERENCES, SEEDS, STATES, UNIQUES
from tests.scenarios.readers import Message, Readers, Row, by, millis, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.scenarios.scene import Scene

DAYS = {"product": 30, "category": 30, "customer": 14, "session": 7, "orders": 7}
"""How long keys live by the first part of their name; a list of a customer's orders by its last one."""

ALL = {
    "shop.orders": 19_783,
    "shop.products": 418,
    "ingestion.files": 11,
    "ingestion.runs": 273,
}
REFUSED = {
    "UPDATE orders SET total = total + 1 WHERE id = 1": psycopg.errors.CheckViolation,
    "UPDATE orders SET status = 'lost' WHERE id = 1": psycopg.errors.InvalidTextRepresentation,
    "UPDATE order_items SET product_id = 1 WHERE order_id = 1": psycopg.errors.ForeignKeyViolation,
    "UPDATE products SET sku = (SELECT sku FROM products WHERE id = 3) WHERE id = 2": psycopg.errors.UniqueViolation,
    "DELETE FROM customers WHERE id = (SELECT customer_id FROM orders WHERE id = 1)": (
        psycopg.errors.ForeignKeyViolation
    ),
}


@pytest.fixture(scope="module")
def world(new_scene: Callable[[], AbstractContextManager[Scene]]) -> Iterator[Readers]:
    """All that can be read without Spark, loaded once; what a test changes it takes back."""
    with new_scene() as scene:
        services = (word for name in ("postgres", "redis", "kafka", "minio") for word in ("--service", name))
        scene.envctl("up", *services, "--seed", "small")
        readers = Readers(scene.envctl("env", "--format", "json").document)
        yield readers
        readers.redis.close()


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_in_postgresql_there_is_no_such_thing_as(world: Readers, nonsense: str) -> None:
    """Totals add up, states agree with times, what happens later happened later: the laws, asked in the database."""
    assert [row for row in world.query(in_postgres(NONSENSE[nonsense])) if row != (None,)] == []


def test_every_constraint_and_index_is_there_and_holds(world: Readers) -> None:
    """Those that come after the rows are as valid as if they had come first."""
    found = world.query("SELECT conrelid::regclass::text, pg_get_constraintdef(oid), convalidated FROM pg_constraint")
    assert all(valid for *_, valid in found)
    definitions = {(table, definition.replace('"', "")) for table, definition, _ in found}
    for table, columns in UNIQUES:
        assert {(table, f"{kind} ({columns})") for kind in ("PRIMARY KEY", "UNIQUE")} & definitions, (table, columns)
    for table, columns, other, targets in REFERENCES:
        assert (table, f"FOREIGN KEY ({columns}) REFERENCES {other}({targets})") in definitions
    checks = [definition for _, definition in definitions if definition.startswith("CHECK")]
    assert len(checks) >= (SEEDS / "schema.sql").read_text().count("CHECK (")
    assert world.query("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid OR NOT indisready") == []
    wanted = {
        line.split()[2] for line in (SEEDS / "constraints.sql").read_text().splitlines() if "CREATE INDEX" in line
    }
    assert wanted <= {name for (name,) in world.query("SELECT indexname FROM pg_indexes")}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_makes_no_sense_is_refused(world: Readers, statement: str) -> None:
    """By each kind of constraint."""
    with world.database() as connection, pytest.raises(REFUSED[statement]):
        connection.execute(statement)


@pytest.mark.parametrize(("table", "column"), STATES, ids=lambda value: value)
def test_every_state_is_there(world: Readers, table: str, column: str) -> None:
    """A test of any of them finds a row."""
    assert {row[column] for row in world.tables[table]} == STATES[table, column]


def test_the_planner_knows_how_many_rows_there_are(world: Readers) -> None:
    """Statistics are taken at the end of a load, so that the first query is planned as the thousandth."""
    known = world.query(
        "SELECT relname, reltuples::int FROM pg_class WHERE oid IN (SELECT relid FROM pg_stat_user_tables)"
    )
    assert {name: rows for name, rows in known if name in world.tables} == {
        name: len(rows) for name, rows in world.tables.items()
    }


def test_an_application_can_go_on_from_here(world: Readers) -> None:
    """A row without an id gets the next one, and the tables are the app's own: to alter, index, empty and drop."""
    with world.database() as connection:
        (before,) = connection.execute("SELECT max(id) FROM orders").fetchone() or (0,)
        (after,) = connection.execute(
            """INSERT INTO orders (reference, customer_id, status, currency, items_total, shipping, total, trace_id,
            placed_at, updated_at) VALUES ('SO-NEW', 1, 'placed', 'EUR', 10, 0, 10, gen_random_uuid(), now(), now())
            RETURNING id"""
        ).fetchone() or (0,)
        assert after > before
        for table in ("customers", "products", "payments", "schema_versions", "ingestions", "runs", "processed_files"):
            following = connection.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id'))", [table]).fetchone()
            assert following > (world.tables[table][-1]["id"],), table
        connection.execute("ALTER TABLE customers ADD COLUMN nickname text")
        connection.execute("ALTER TYPE order_status RENAME VALUE 'placed' TO 'received'")
        connection.execute("CREATE INDEX ON customers (nickname)")
        connection.execute("CREATE TABLE notes (customer bigint REFERENCES customers)")
        connection.execute("TRUNCATE payments")
        connection.execute("DROP TABLE orders CASCADE")
        connection.rollback()


# --- Kafka ------------------------------------------------------------------------------------------------------------


def test_the_topics_hold_what_they_should_in_all_partitions(world: Readers) -> None:
    """From the first offset on, without a gap, and each key in one partition alone."""
    assert {name: len(messages) for name, messages in world.topics.items()} == ALL
    for messages in world.topics.values():
        places: dict[str, set[int]] = defaultdict(set)
        offsets: dict[int, list[int]] = defaultdict(list)
        for message in messages:
            places[message.key].add(message.partition)
            offsets[message.partition].append(message.offset)
        assert {len(partitions) for partitions in places.values()} == {1}
        assert all(seen == [*range(len(seen))] for seen in offsets.values())


def test_the_order_events_replay_to_the_tables(world: Readers) -> None:
    """Orders, items and payments, each column of each row, from nothing but the topic."""
    events = sorted(world.topics["shop.orders"], key=lambda message: int(message.key))
    tables = replayed([(m.key, m.value, m.headers, m.value["at"]) for m in events])
    for name, rows in tables.items():
        assert rows == world.tables[name], name
    assert all(m.timestamp == millis(m.value["at"]) for m in events)


def test_the_products_topic_compacts_to_the_products(world: Readers) -> None:
    """The last record of each key is the row; those that were removed end with a tombstone."""
    messages = world.topics["shop.products"]
    last = {m.key: m.value for m in messages}
    assert {int(key): value for key, value in last.items() if value} == by(world.tables["products"], "id")
    removed = [key for key, value in last.items() if value is None]
    assert len(removed) >= len(world.tables["products"]) // 10
    assert {m.headers["type"] for m in messages if m.value is None} == {"product.removed"}
    assert len(messages) > len(last)


@pytest.mark.parametrize("topic", ALL)
def test_the_records_of_a_key_are_in_the_order_of_time(world: Readers, topic: str) -> None:
    """What is read later happened later."""
    latest: dict[str, int] = {}
    for message in world.topics[topic]:
        assert message.timestamp >= latest.get(message.key, 0), message
        latest[message.key] = message.timestamp


def test_the_events_of_the_pipeline_are_its_tables(world: Readers) -> None:
    """A file that arrived is a row of processed_files; each run says what became of it."""
    files = by(world.tables["processed_files"], "object_key")
    arrived = {m.value["key"]: m for m in world.topics["ingestion.files"]}
    assert arrived.keys() == files.keys()
    for key, message in arrived.items():
        told = {name: files[key][name] for name in ("bucket", "source", "format", "schema_version", "arrived_at")}
        assert message.value == {"event": "arrived", "key": key, **told}
        assert (message.key, message.timestamp) == (told["source"], millis(told["arrived_at"]))
    runs = {m.value["run_id"]: m for m in world.topics["ingestion.runs"]}
    columns = ("ingestion_id", "attempt", "status", "reason", "started_at", "finished_at")
    rows = by(world.tables["runs"], "id")
    assert {id_: m.value for id_, m in runs.items()} == {
        id_: {"run_id": id_, **{name: row[name] for name in columns}} for id_, row in rows.items()
    }
    assert all(m.headers == {"type": f"run.{m.value['status']}"} for m in runs.values())


def test_messages_have_headers_that_a_router_can_use(world: Readers) -> None:
    """Type, schema, and the trace of the order that they belong to."""
    traces = {row["id"]: row["trace_id"] for row in world.tables["orders"]}

    def told(message: Message) -> dict[str, str]:
        kind, order = message.value["event"], message.value["order_id"]
        return {"type": f"order.{kind}", "schema": "1", "trace-id": traces[order]}

    assert all(message.headers == told(message) for message in world.topics["shop.orders"])


def test_an_application_reads_on_and_writes_as_a_group(world: Readers) -> None:
    """Over SASL as the app identity: a consumer group, and a topic of its own, which it makes and removes."""
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

    variables = world.variables
    access: dict[str, Any] = {
        "bootstrap_servers": variables["KAFKA_SASL_BOOTSTRAP_SERVERS"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": variables["KAFKA_SASL_MECHANISM"],
        "sasl_plain_username": variables["KAFKA_SASL_USERNAME"],
        "sasl_plain_password": variables["KAFKA_SASL_PASSWORD"],
    }
    options = {"group_id": "billing", "auto_offset_reset": "earliest", "consumer_timeout_ms": 120000}
    consumer = KafkaConsumer("ingestion.files", **access, **options)
    try:
        first = next(consumer)
        assert first.offset == 0
        consumer.commit()
    finally:
        consumer.close()
    producer = KafkaProducer(**access)
    try:
        assert producer.send("notes", b"hello").get(30).offset == 0
    finally:
        producer.close()
        admin = KafkaAdminClient(**access)
        admin.delete_topics(["notes"])
        admin.close()


# --- Redis ------------------------------------------------------------------------------------------------------------


def test_every_key_of_the_cache_is_what_the_tables_say(world: Readers) -> None:
    """Strings, hashes, lists, sets, sorted sets and the stream; and there is no other key."""
    sessions = {key: value for key, value in world.cache.items() if key.startswith("session:")}
    in_order = sorted(sessions.values(), key=lambda session: int(session["customer_id"]))
    wanted = expected(world.tables, {"session": in_order})
    for found, row in zip(in_order, wanted.pop("session"), strict=True):
        assert found == texts(row)
    cached = {key: value for key, value in world.cache.items() if key not in sessions}
    assert cached.keys() == wanted.keys()
    for key, elements in wanted.items():
        assert comparable(cached[key]) == held(elements, unordered=isinstance(cached[key], set)), key


def texts(row: Row) -> dict[str, str]:
    """Every value as Redis has it."""
    return {name: str(value) for name, value in row.items()}


def held(elements: list[Row], *, unordered: bool) -> Any:  # noqa: ANN401 - as Redis has it
    """What a key must hold, in the form that the client gives."""
    first = elements[0]
    if "score" in first:
        return {e["member"]: float(e["score"]) for e in elements}
    if "member" in first:
        return sorted(e["member"] for e in elements) if unordered else [e["member"] for e in elements]
    if "value" in first:
        return first["value"]
    if "id" in first:
        return [(e["id"], texts({name: value for name, value in e.items() if name != "id"})) for e in elements]
    return texts(first)


def comparable(value: Any) -> Any:  # noqa: ANN401 - as Redis has it
    """Strings that are JSON parsed, sets in order."""
    if isinstance(value, str):
        return parsed(value) if value.startswith("{") else value
    return sorted(value) if isinstance(value, set) else value


def test_keys_live_as_long_as_they_should(world: Readers) -> None:
    """What a cache may forget has days to live; what is looked up by its name stays."""
    for key in world.cache:
        left = world.redis.pttl(key)
        name, _, rest = key.partition(":")
        days = DAYS["orders"] if rest.endswith(":orders") else DAYS.get(name) if name != "orders" else None
        if days is None:
            assert left == -1, key
        else:
            assert 0 < left <= dt.timedelta(days=days) / dt.timedelta(milliseconds=1), key
            assert left > dt.timedelta(days=days, hours=-1) / dt.timedelta(milliseconds=1), key


def test_an_application_can_use_the_cache(world: Readers) -> None:
    """Read through, spend, rank, append, and remove, as the app identity."""
    cache = world.redis
    assert cache.hget("customer:1", "name") == "{first_name} {last_name}".format(**world.tables["customers"][0])
    with cache.pipeline(transaction=True) as pipeline:
        pipeline.set("test:a", 1, ex=60).incr("test:a").xadd("test:b", {"x": 1}).zadd("test:c", {"m": 1})
        pipeline.delete("test:a", "test:b", "test:c")
        assert pipeline.execute()[1] == 2

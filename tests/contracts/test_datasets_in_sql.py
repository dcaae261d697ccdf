"""Laws of the shipped tables, asked in SQL: the checks, keys and references of the shipped schema, and plain sense."""

# ruff: noqa: S608 - the names of tables and columns are those of the shipped schema

from __future__ import annotations

import json
import re
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from tests.contracts import worlds
from tests.contracts.worlds import SCALES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.seeding.column import Column
    from envctl.seeding.world import World

SEEDS = worlds.spec.load("small").file.parent
CONSTRAINTS = re.sub(r"--.*", "", (SEEDS / "constraints.sql").read_text())
UNIQUES = [
    (table, columns)
    for table, rest in re.findall(r"ALTER TABLE (\w+) (.*?);", CONSTRAINTS, re.DOTALL)
    for columns in re.findall(r"ADD (?:PRIMARY KEY|UNIQUE) \((.*?)\)", rest)
]
REFERENCES = [
    (table, columns, other, targets or "id")
    for table, rest in re.findall(r"ALTER TABLE (\w+) (.*?);", CONSTRAINTS, re.DOTALL)
    for columns, other, targets in re.findall(r"ADD FOREIGN KEY \((.*?)\) REFERENCES (\w+)(?: \((.*?)\))?", rest)
]

# What must not be found, by what it would mean. Amounts are in cents, times in µs since 1970.
NONSENSE = {
    "an order without items": "SELECT id FROM orders WHERE id NOT IN (SELECT order_id FROM order_items)",
    "an order whose items do not add up": """
        SELECT id FROM orders JOIN (SELECT order_id, sum(amount) AS amount FROM order_items GROUP BY order_id)
        ON order_id = id WHERE amount <> items_total""",
    "a payment of another amount than the order's": """
        SELECT payments.id FROM payments JOIN orders ON orders.id = order_id WHERE amount <> total""",
    "a paid order that was not paid exactly once": """
        SELECT id FROM orders WHERE (paid_at IS NOT NULL) <>
        (SELECT count(*) FROM payments WHERE order_id = orders.id AND status <> 'failed')""",
    "a payment at another time than the order says": """
        SELECT payments.id FROM payments JOIN orders ON orders.id = order_id
        WHERE payments.status <> 'failed' AND paid_at <> created_at OR created_at <= placed_at""",
    "money that was given back for an order that was not": """
        SELECT payments.id FROM payments JOIN orders ON orders.id = order_id
        WHERE payments.refunded_at IS NOT orders.refunded_at AND payments.status <> 'failed'""",
    "a failed payment after one that was captured": """
        SELECT later.id FROM payments AS later JOIN payments AS first USING (order_id)
        WHERE first.status <> 'failed' AND later.attempt > first.attempt""",
    "an order that was placed before its customer was there": """
        SELECT orders.id FROM orders JOIN customers ON customers.id = customer_id
        WHERE placed_at <= customers.created_at""",
    "an order of a product that was not there yet": """
        SELECT orders.id FROM orders JOIN order_items ON order_id = orders.id
        JOIN products ON products.id = product_id WHERE placed_at <= products.created_at""",
    "an item at another price than the product's": """
        SELECT order_id FROM order_items JOIN products ON id = product_id
        WHERE order_items.price <> products.price""",
    "an order whose last change is not its last event": """
        SELECT id FROM orders WHERE status <> 'placed' AND
        updated_at <> coalesce(refunded_at, delivered_at, shipped_at, cancelled_at, paid_at)""",
    "anything after the world's last day": """
        SELECT max(updated_at) FROM orders HAVING max(updated_at) >= 1769817600000000
        UNION ALL SELECT max(finished_at) FROM runs HAVING max(finished_at) >= 1769817600000000""",
    "an ingestion with another number of runs than attempts": """
        SELECT id FROM ingestions WHERE attempts <> (SELECT count(*) FROM runs WHERE ingestion_id = ingestions.id)""",
    "an ingestion whose last run says something else": """
        SELECT ingestions.id FROM ingestions JOIN runs ON ingestion_id = ingestions.id AND attempt = attempts
        WHERE ingestions.status <> runs.status AND NOT (ingestions.status = 'retried' AND runs.status = 'running')
        OR ingestions.finished_at IS NOT runs.finished_at OR ingestions.reason IS NOT runs.reason""",
    "a run that was tried again although it had not failed": """
        SELECT runs.id FROM runs JOIN ingestions ON ingestions.id = ingestion_id
        WHERE attempt < attempts AND runs.status <> 'failed'""",
    "a retry that began before what it retries was over, or of another ingestion": """
        SELECT runs.id FROM runs JOIN runs AS first ON first.id = runs.retry_of
        WHERE runs.started_at < first.finished_at OR runs.ingestion_id <> first.ingestion_id""",
    "an ingestion with another number of files than it says": """
        SELECT id FROM ingestions WHERE files <> (SELECT count(*) FROM processed_files JOIN runs ON runs.id = run_id
        WHERE ingestion_id = ingestions.id)""",
    "a file that its run did not end with, or was processed outside it": """
        SELECT processed_files.id FROM processed_files JOIN runs ON runs.id = run_id
        WHERE (processed_files.status = 'rejected') <> (runs.status = 'failed')
        OR processed_files.reason IS NOT runs.reason AND runs.status = 'failed'
        OR processed_at NOT BETWEEN started_at AND finished_at""",
    "a file that arrived before its schema version was in use": """
        SELECT processed_files.id FROM processed_files JOIN schema_versions AS v ON v.source = processed_files.source
        AND v.version = schema_version WHERE arrived_at NOT BETWEEN valid_from AND coalesce(valid_to, arrived_at)""",
    "a file of another source than its ingestion's": """
        SELECT f.id FROM processed_files AS f JOIN runs ON runs.id = run_id JOIN ingestions AS i ON i.id = ingestion_id
        WHERE f.source <> i.source""",
}
OF_EACH_CITY = {"countries", "dial_codes", "streets"}
STATES = {
    ("orders", "status"): {"placed", "paid", "shipped", "delivered", "cancelled", "refunded"},
    ("payments", "status"): {"captured", "failed", "refunded"},
    ("ingestions", "status"): {"pending", "running", "succeeded", "failed", "retried"},
    ("runs", "status"): {"running", "succeeded", "failed"},
    ("processed_files", "status"): {"loaded", "duplicate", "rejected"},
    ("processed_files", "late"): {0, 1},
    ("customers", "tier"): {"basic", "silver", "gold", "platinum"},
}


@pytest.fixture(params=SCALES, ids=lambda scale: f"{scale[0]}@{scale[1]:g}", scope="module")
def tables(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    """All tables of a dataset, under the checks of the shipped schema: what breaks one is refused here."""
    world = worlds.shared(*request.param)
    connection = sqlite3.connect(":memory:")
    connection.executescript(_plain((SEEDS / "schema.sql").read_text()))
    for name in world.dataset.postgres.tables:
        _fill(connection, world, name)
    for table, columns in UNIQUES:
        connection.execute(f"CREATE INDEX {table}_{columns.replace(', ', '_')} ON {table} ({columns})")
    yield connection
    connection.close()


def _plain(sql: str) -> str:
    """The schema without what SQLite does not know: types of our own, defaults that are calls, sequences."""
    return re.sub(r"CREATE TYPE .*?;| DEFAULT now\(\)| GENERATED BY DEFAULT AS IDENTITY", "", sql)


def _fill(connection: sqlite3.Connection, world: World, name: str) -> None:
    described = world.dataset.postgres.tables[name]
    marks = ", ".join("?" for _ in described.columns)
    for chunk in world.iterate(described.relation):
        columns: list[Column] = [chunk.expression(f"test {c}", source) for c, source in described.columns.items()]
        rows: Any = zip(*(column.pylist() for column in columns), strict=True)
        connection.executemany(f"INSERT INTO {name} ({', '.join(described.columns)}) VALUES ({marks})", rows)


@pytest.mark.parametrize(("table", "columns"), UNIQUES, ids=lambda value: value)
def test_keys_are_unique_and_never_null(tables: sqlite3.Connection, table: str, columns: str) -> None:
    """The constraints come after the data: what breaks them would break the end of a load."""
    found = tables.execute(f"SELECT {columns} FROM {table} GROUP BY {columns} HAVING count(*) > 1 LIMIT 3")
    assert found.fetchall() == []
    nulls = " OR ".join(f"{column} IS NULL" for column in columns.split(", "))
    assert tables.execute(f"SELECT {columns} FROM {table} WHERE {nulls} LIMIT 3").fetchall() == []


@pytest.mark.parametrize(("table", "columns", "other", "targets"), REFERENCES, ids=lambda value: value)
def test_references_lead_somewhere(
    tables: sqlite3.Connection, table: str, columns: str, other: str, targets: str
) -> None:
    """Every foreign key of the shipped schema, for every row."""
    own, theirs = columns.split(", "), targets.split(", ")
    match = " AND ".join(f"o.{b} = t.{a}" for a, b in zip(own, theirs, strict=True))
    wanted = f"SELECT {columns} FROM {table} AS t WHERE {own[0]} IS NOT NULL"
    assert (
        tables.execute(f"{wanted} AND NOT EXISTS (SELECT 1 FROM {other} AS o WHERE {match}) LIMIT 3").fetchall() == []
    )


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_there_is_no_such_thing_as(tables: sqlite3.Connection, nonsense: str) -> None:
    """Whoever looks at two tables at once finds that they agree."""
    assert tables.execute(NONSENSE[nonsense]).fetchmany(3) == []


@pytest.mark.parametrize(("table", "column"), STATES, ids=lambda value: value)
def test_every_state_occurs(tables: sqlite3.Connection, table: str, column: str) -> None:
    """A test of any of them finds a row."""
    found = {state for (state,) in tables.execute(f"SELECT DISTINCT {column} FROM {table}")}
    assert found == STATES[table, column]


def test_some_customers_and_some_products_have_far_more_than_their_share(tables: sqlite3.Connection) -> None:
    """The skew of real shops: the first tenth of customers has several times its share of the orders."""
    for query in (
        "SELECT count(*) FROM orders GROUP BY customer_id ORDER BY 1 DESC",
        "SELECT sum(quantity) FROM order_items GROUP BY product_id ORDER BY 1 DESC",
    ):
        counts = [count for (count,) in tables.execute(query)]
        assert sum(counts[: len(counts) // 10]) > 2 * sum(counts) // 10


def test_json_columns_are_json(tables: sqlite3.Connection) -> None:
    """What stands in a jsonb column is one document."""
    for table, column in (("customers", "preferences"), ("products", "attributes"), ("schema_versions", "columns")):
        for (value,) in tables.execute(f"SELECT {column} FROM {table}"):
            assert isinstance(json.loads(value), dict | list)


def test_the_words_go_together_line_by_line() -> None:
    """Lists that are read by place are as long as the other, and say nothing twice."""
    words = worlds.spec.load("small").words
    assert len(words["cities"]) == len(words["countries"]) == len(words["dial_codes"]) == len(words["streets"]) // 4
    assert len(words["categories"]) == len(words["category_codes"]) == len(words["nouns"]) // 10
    for name, listed in words.items():
        assert name in OF_EACH_CITY or len(set(listed)) == len(listed), name
    for name in ("cities", "first_names"):
        assert any(not word.isascii() for word in words[name])

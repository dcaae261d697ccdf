"""What the database itself knows about the load: schema `_envctl`, written in the transactions that it describes.

It is there if and only if a dataset was prepared: made together with all that the dataset's SQL creates, and dropped
with it. There is at most one dataset in a database, so its digest stands once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.services.postgres.seeding.connection import Connection

_MAKE = """
CREATE SCHEMA _envctl;
CREATE TABLE _envctl.seed (digest text NOT NULL, dataset text NOT NULL, scale float8 NOT NULL);
CREATE TABLE _envctl.seed_tables (target text PRIMARY KEY, oid oid NOT NULL, created boolean NOT NULL);
CREATE TABLE _envctl.seed_created (
    number int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, class oid NOT NULL, object oid NOT NULL
);
CREATE TABLE _envctl.seed_chunks (
    target text, chunk int, rows bigint NOT NULL, sums jsonb NOT NULL, PRIMARY KEY (target, chunk)
);
CREATE TABLE _envctl.seed_ddl (
    number int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, target text NOT NULL, name text NOT NULL, phase int NOT NULL,
    statement text NOT NULL, done boolean NOT NULL DEFAULT false
);
CREATE TABLE _envctl.seed_steps (step text PRIMARY KEY);
"""

COMPLETE = "complete"
CHECKED = "checked"


@dataclass(frozen=True, slots=True)
class Ledger:
    """What it says: the dataset, the steps that are done, and by table its OID and whether the dataset made it."""

    digest: str
    dataset: str
    steps: frozenset[str]
    tables: Mapping[str, tuple[int, bool]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether everything is loaded."""
        return COMPLETE in self.steps


@dataclass(frozen=True, slots=True)
class Mark:
    """One chunk that is in the database: its rows and the sums of its columns as they were generated."""

    chunk: int
    rows: int
    sums: Mapping[str, int | str]


def read(connection: Connection) -> Ledger | None:
    """The ledger, if anything of a dataset is here."""
    if connection.execute("SELECT to_regclass('_envctl.seed_steps')").fetchone() == (None,):
        return None
    row = connection.execute(
        "SELECT digest, dataset, (SELECT coalesce(array_agg(step), '{}') FROM _envctl.seed_steps),"
        " (SELECT coalesce(json_agg(t), '[]') FROM _envctl.seed_tables t) FROM _envctl.seed"
    ).fetchone()
    if row is None:
        return None
    tables = {t["target"]: (int(t["oid"]), bool(t["created"])) for t in row[3]}
    return Ledger(row[0], row[1], frozenset(row[2]), tables)


def make(connection: Connection, digest: str, dataset: str, scale: float) -> None:
    """Open a new ledger, in the transaction under way."""
    connection.execute(_MAKE)
    connection.execute("INSERT INTO _envctl.seed VALUES (%s, %s, %s)", [digest, dataset, scale])


def note_tables(connection: Connection, tables: Mapping[str, tuple[int, bool]]) -> None:
    """Remember the tables that will be filled."""
    rows = [[target, oid, created] for target, (oid, created) in tables.items()]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO _envctl.seed_tables VALUES (%s, %s, %s)", rows)


def note_created(connection: Connection, objects: Sequence[tuple[int, int]]) -> None:
    """Remember objects (catalog, OID) that the dataset's SQL made."""
    connection.execute(
        "INSERT INTO _envctl.seed_created (class, object) SELECT * FROM unnest(%s::oid[], %s::oid[])",
        [[c for c, _ in objects], [o for _, o in objects]],
    )


def note_step(connection: Connection, step: str) -> None:
    """Remember that a step is done."""
    connection.execute("INSERT INTO _envctl.seed_steps VALUES (%s) ON CONFLICT DO NOTHING", [step])


def note_chunks(connection: Connection, target: str, marks: Sequence[Mark]) -> None:
    """Mark chunks as loaded, in the transaction that loads them."""
    connection.execute(
        "INSERT INTO _envctl.seed_chunks SELECT %s, * FROM unnest(%s::int[], %s::bigint[], %s::jsonb[])",
        [target, [m.chunk for m in marks], [m.rows for m in marks], [json.dumps(dict(m.sums)) for m in marks]],
    )


def chunks(connection: Connection) -> dict[str, dict[int, int]]:
    """The rows of each chunk that is loaded, by target."""
    found: dict[str, dict[int, int]] = {}
    for target, chunk, rows in connection.execute("SELECT target, chunk, rows FROM _envctl.seed_chunks"):
        found.setdefault(target, {})[chunk] = rows
    return found


def totals(connection: Connection) -> dict[str, dict[str, Any]]:
    """By target what was sent: `rows`, and the `sums` of its columns as text."""
    found: dict[str, dict[str, Any]] = {}
    for target, rows in connection.execute("SELECT target, sum(rows) FROM _envctl.seed_chunks GROUP BY 1"):
        found[target] = {"rows": int(rows), "sums": {}}
    query = (
        "SELECT target, key, trim_scale(sum(value::numeric))::text"
        " FROM _envctl.seed_chunks, jsonb_each_text(sums) GROUP BY 1, 2"
    )
    for target, key, total in connection.execute(query):
        found[target]["sums"][key] = total
    return found

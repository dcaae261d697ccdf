"""Indexes and constraints that wait until the data is there: taken off durably, put back one by one.

Building an index over rows that are there takes half of what keeping it up row by row does, and a foreign key is
checked by one join. What was taken off stands in the ledger until it is back, so a kill anywhere is mended by the
next load. Only tables that the dataset's SQL has made are treated so; of tables filled from files the keys stay, for
the server to name the line of a duplicate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.services.postgres.seeding.catalog import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from envctl.services.postgres.seeding.catalog import Target
    from envctl.services.postgres.seeding.connection import Connection

WORTH_ROWS = 100_000
"""Rows from which on a table's indexes are built afterwards: below, two statements cost more than they save."""

_INDEXES, _FOREIGN, _VALIDATION = 0, 1, 2
PHASES = 3
"""Indexes and keys; foreign keys, not looked at yet; the look at them. Each wants the one before it to be over."""

_FOREIGN_KEYS = """
SELECT f.conrelid::regclass::text, f.conname, pg_get_constraintdef(f.oid), c.relkind = 'r' AND f.convalidated
FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid
WHERE f.contype = 'f' AND f.conparentid = 0 AND f.conrelid = ANY(%s) ORDER BY f.oid
"""

# An index that somebody marked or described would come back without that.
_KEPT_APART = """
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid LEFT JOIN pg_constraint k
  ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
WHERE i.indrelid = ANY(%s) AND NOT i.indisclustered AND NOT i.indisreplident AND c.relkind = 'i'
  AND c.reltablespace = 0 AND NOT EXISTS (SELECT FROM pg_description d WHERE d.objoid IN (c.oid, k.oid))
  AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indrelid OR h.inhrelid = c.oid)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refobjid IN (c.oid, k.oid) AND d.deptype = 'n')
"""
_BUILT = (
    "SELECT i.indrelid::regclass::text, coalesce(k.conname, c.relname), k.oid IS NOT NULL,"
    " coalesce(pg_get_constraintdef(k.oid), pg_get_indexdef(c.oid)), c.oid::regclass::text"
    f" {_KEPT_APART} ORDER BY i.indexrelid"
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One statement that puts something back: its number, its table, what it is called, and the statement."""

    number: int
    target: str
    name: str
    phase: int
    statement: str


def take_off(connection: Connection, made: Iterable[int], large: Sequence[Target]) -> None:
    """Take off, in the transaction under way: all foreign keys of the tables `made` (OIDs), other indexes of `large`.

    Foreign keys go in any case: tables are loaded at the same time, children before their parents.
    """
    notes: list[tuple[str, str, int, str]] = []
    drops: list[str] = []
    for table, name, definition, valid in connection.execute(_FOREIGN_KEYS, [list(made)]).fetchall():
        drops.append(f"ALTER TABLE {table} DROP CONSTRAINT {quoted(name)}")
        add = f"ALTER TABLE {table} ADD CONSTRAINT {quoted(name)} {definition}"
        notes.append((table, name, _FOREIGN, f"{add} NOT VALID" if valid else add))
        if valid:
            notes.append((table, name, _VALIDATION, f"ALTER TABLE {table} VALIDATE CONSTRAINT {quoted(name)}"))
    for drop in drops:
        connection.execute(drop.encode())
    oids = [target.oid for target in large if not target.partitioned]
    for table, name, constraint, definition, index in connection.execute(_BUILT.encode(), [oids]).fetchall():
        if constraint:
            connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {quoted(name)}".encode())
            notes.append((table, name, _INDEXES, f"ALTER TABLE {table} ADD CONSTRAINT {quoted(name)} {definition}"))
        else:
            connection.execute(f"DROP INDEX {index}".encode())
            notes.append((table, name, _INDEXES, definition))
    with connection.cursor() as cursor:
        insert = "INSERT INTO _envctl.seed_ddl (target, name, phase, statement) VALUES (%s, %s, %s, %s)"
        cursor.executemany(insert, notes)


def waiting(connection: Connection) -> list[list[Waiting]]:
    """What is still off: lists of statements that may run at the same time, each list after the one before."""
    rows = connection.execute(
        "SELECT number, target, name, phase, statement FROM _envctl.seed_ddl WHERE NOT done ORDER BY number"
    )
    found = [Waiting(*row) for row in rows]
    return [[w for w in found if w.phase == phase] for phase in (_INDEXES, _FOREIGN, _VALIDATION)]


def put_back(connection: Connection, statements: Sequence[Waiting]) -> None:
    """Run statements and mark them as done, all in one transaction."""
    with connection.transaction():
        for waiting_ in statements:
            connection.execute(waiting_.statement.encode())
        connection.execute(
            "UPDATE _envctl.seed_ddl SET done = true WHERE number = ANY(%s)", [[w.number for w in statements]]
        )


def parallel(phase: int) -> bool:
    """Whether tables may be treated at the same time: adding a foreign key locks two, and two such might cross."""
    return phase != _FOREIGN


def grouped(statements: Sequence[Waiting], *, by_table: bool) -> list[list[Waiting]]:
    """Statements in groups of one transaction each: those of one table, which would wait for each other, or all."""
    if not by_table:
        return [list(statements)] if statements else []
    groups: dict[str, list[Waiting]] = {}
    for statement in statements:
        groups.setdefault(statement.target, []).append(statement)
    return list(groups.values())

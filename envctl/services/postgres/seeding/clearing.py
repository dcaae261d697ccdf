"""Removes what a dataset made and filled, by what the ledger in the database says; the dataset is not needed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from envctl.services.postgres.seeding.connection import connect, end_leftovers, naming_holders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.model import Endpoint
    from envctl.services.postgres.seeding.connection import Connection

_MADE = """
SELECT found.type, found.identity FROM _envctl.seed_created s,
       LATERAL (SELECT (pg_identify_object(s.class, s.object, 0)).*) found
WHERE found.identity IS NOT NULL ORDER BY s.number DESC
"""
_FILLED = (
    "SELECT n.nspname, c.relname FROM _envctl.seed_tables t JOIN pg_class c ON c.oid = t.oid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.created"
)
_REFERENCED = "0A000"


def clear(at: Endpoint, footprint: Mapping[str, Any]) -> str:  # noqa: ARG001 - the database itself knows better
    """Remove it all in one transaction; says in a few words what was removed.

    Raises:
        SeedFailed: the server is not there, or somebody holds a lock for longer than some seconds (who, it says).

    """
    with connect(at) as connection:
        end_leftovers(connection)
        return remove(connection)


def remove(connection: Connection) -> str:
    """As `clear`, on a connection that is there."""
    wanted = "an earlier dataset removed from PostgreSQL"
    with naming_holders(connection, wanted), connection.transaction():
        if connection.execute("SELECT to_regclass('_envctl.seed_created')").fetchone() == (None,):
            connection.execute("DROP SCHEMA IF EXISTS _envctl CASCADE")
            return "nothing"
        removed: Counter[str] = Counter()
        for kind, identity in connection.execute(_MADE).fetchall():
            connection.execute(_drop(kind, identity).encode())
            removed[kind] += 1
        filled = connection.execute(_FILLED).fetchall()
        if filled:
            _empty(connection, [f'"{schema}"."{table}"' for schema, table in filled])
        connection.execute("DROP SCHEMA _envctl CASCADE")
    parts = [counted(count, kind) for kind, count in removed.items()]
    if filled:
        parts.append(f"the rows of {counted(len(filled), 'table')}")
    return ", ".join(parts) or "nothing"


def counted(count: int, thing: str) -> str:
    """So many of a kind of object, as PostgreSQL names it."""
    if count == 1:
        return f"1 {thing}"
    if thing.endswith("y"):
        return f"{count} {thing[:-1]}ies"
    return f"{count} {thing}{'es' if thing.endswith(('x', 's')) else 's'}"


def _drop(kind: str, identity: str) -> str:
    if kind == "table constraint":
        name, _, table = identity.partition(" on ")
        return f"ALTER TABLE IF EXISTS {table} DROP CONSTRAINT IF EXISTS {name} CASCADE"
    return f"DROP {kind} IF EXISTS {identity} CASCADE"


def _empty(connection: Connection, tables: list[str]) -> None:
    """Empty tables that were there before; where others refer to them row by row, which fails if rows do."""
    import psycopg

    try:
        with connection.transaction():
            connection.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY".encode())
    except psycopg.Error as error:
        if error.sqlstate != _REFERENCED:
            raise
        for table in tables:
            connection.execute(f"DELETE FROM {table}".encode())

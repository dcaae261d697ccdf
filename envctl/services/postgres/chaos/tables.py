"""The tables that a fault is about: the one that is named, or all of the tests' own database."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from envctl.errors import ConfigurationError, FaultUnfit, Problem
from envctl.services.postgres.chaos.aims import target
from envctl.services.postgres.chaos.sessions import HOME, answering, connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.services.postgres.chaos.sessions import Connection
    from envctl.site import Site

JSON = dict[str, Any]

CLAIM = "tables"
"""Of every fault that locks tables or has triggers in them."""

_ALL = """
SELECT c.oid::bigint, n.nspname, c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^(pg_|information_schema$|envctl_chaos_)'
ORDER BY n.nspname, c.relname
"""

_NAMES = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY(%s) ORDER BY n.nspname, c.relname
"""


def find(site: Site, table: str, rows: str = "") -> JSON:
    """The `database`, and its `tables`, each with `oid`, `schema`, `name`. `rows` is a condition on those of one.

    Raises:
        NotReady: the server does not answer.
        ConfigurationError: it knows no such table, or does not understand the condition.
        FaultUnfit: there is no table at all.

    """
    found = target(site, {"role": "", "table": table, "where": rows})
    if found.problems:
        problems = [Problem(text.replace("--where:", "--rows:", 1)) for text in found.problems]
        raise ConfigurationError(problems, "a table that this server knows")
    if found.table:
        return {"database": found.database, "tables": [asdict(found.table)]}
    with connect(site) as db, answering():
        tables = [dict(zip(("oid", "schema", "name"), row, strict=True)) for row in db.execute(_ALL).fetchall()]
    if not tables:
        raise FaultUnfit(
            "a table", f"the database {HOME} has none", "make one, or name DATABASE.SCHEMA.TABLE by --table"
        )
    return {"database": HOME, "tables": tables}


def names(db: Connection, tables: Sequence[JSON]) -> list[str]:
    """As SQL writes those that are still there, whatever they are called by now."""
    with answering():
        return [row[0] for row in db.execute(_NAMES, [[table["oid"] for table in tables]]).fetchall()]

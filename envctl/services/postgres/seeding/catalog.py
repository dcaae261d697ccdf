"""What the database's catalog says: its tables with their columns, and which objects came into being."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.services.postgres.seeding.connection import Connection

_TABLES = """
SELECT n.nspname, c.relname, c.oid, c.relkind::text, a.attname, a.atttypid,
       format_type(a.atttypid, a.atttypmod), a.atttypmod,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', a.attgenerated <> ''
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '_envctl')
ORDER BY c.oid, a.attnum
"""

# `hash_record_extended` takes what has a default hash operator class; a varchar is hashed as the text that it is. Enums
# are not among them: their hash is that of an OID, which is another in each database.
_TYPES = """
SELECT t.oid, t.typtype::text, t.typbasetype, t.typtypmod, t.typcategory::text,
       t.oid = 1043 OR EXISTS (
           SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
           WHERE m.amname = 'hash' AND o.opcdefault AND o.opcintype = t.oid)
FROM pg_type t
"""

# What the dataset's SQL made: every object of these catalogs that is new, except what goes with another new one.
_OBJECTS = """
SELECT class::oid, oid FROM (
    SELECT 'pg_namespace'::regclass AS class, oid FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'
    UNION ALL SELECT 'pg_class'::regclass, oid FROM pg_class
        WHERE relkind NOT IN ('t', 'c') AND relpersistence <> 't' AND relnamespace::regnamespace::text <> 'pg_toast'
    UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type
    UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc
    UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator
    UNION ALL SELECT 'pg_extension'::regclass, oid FROM pg_extension
    UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation
    UNION ALL SELECT 'pg_constraint'::regclass, oid FROM pg_constraint
    UNION ALL SELECT 'pg_trigger'::regclass, oid FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'pg_policy'::regclass, oid FROM pg_policy
) found WHERE oid >= 16384
"""

# i, a, e, P, S: goes when the other goes. Types of rows and arrays, and toast tables, are such too.
_INDEPENDENT = """
WITH made AS (SELECT * FROM unnest(%s::oid[], %s::oid[]) AS m(class, object))
SELECT class, object FROM made WHERE NOT EXISTS (
    SELECT FROM pg_depend d JOIN made o ON o.class = d.refclassid AND o.object = d.refobjid
    WHERE d.classid = made.class AND d.objid = made.object AND d.deptype IN ('i', 'a', 'e', 'P', 'S')
      AND (o.class, o.object) <> (made.class, made.object)
) ORDER BY object
"""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column: its type's OID (a domain's base), the type as people write it, and what it wants.

    `modifier` is the type's modifier (-1 for none), `required` that neither null nor a default is possible.
    """

    name: str
    type: int
    written: str
    modifier: int = -1
    required: bool = False
    generated: bool = False
    enum: bool = False
    array: bool = False
    hashable: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """One table of the database."""

    name: str
    schema: str
    table: str
    oid: int
    partitioned: bool = False
    columns: Mapping[str, TableColumn] = field(default_factory=dict)

    @property
    def sql(self) -> str:
        """Its name in a statement."""
        return f"{quoted(self.schema)}.{quoted(self.table)}"


def quoted(name: str) -> str:
    """An identifier in a statement."""
    return '"' + name.replace('"', '""') + '"'


def split(name: str) -> tuple[str, str]:
    """Schema and table of a dataset's `schema.table` or `table`."""
    schema, dot, table = name.partition(".")
    return (schema, table) if dot else ("public", schema)


def tables(connection: Connection) -> dict[tuple[str, str], Target]:
    """All tables that are not the server's own, by schema and name."""
    types = {row[0]: row[1:] for row in connection.execute(_TYPES)}
    found: dict[tuple[str, str], Target] = {}
    for schema, table, oid, kind, column, type_, written, modifier, required, generated in connection.execute(_TABLES):
        columns: dict[str, TableColumn] = {}
        target = Target(f"{schema}.{table}", schema, table, oid, kind == "p", columns)
        made: dict[str, TableColumn] = found.setdefault((schema, table), target).columns  # type: ignore[assignment]
        hashable, base = types[type_][4], type_
        while types[base][0] == "d":
            modifier = types[base][2] if modifier < 0 else modifier  # noqa: PLW2901 - the base's, where none of its own
            base = types[base][1]
        made[column] = TableColumn(
            column,
            base,
            written,
            modifier,
            required,
            generated,
            types[base][0] == "e",
            types[base][3] == "A",
            hashable,
        )
    return found


def objects(connection: Connection) -> set[tuple[int, int]]:
    """All objects in the database that are not the server's own: (catalog, OID)."""
    return set(connection.execute(_OBJECTS).fetchall())


def independent(connection: Connection, made: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of these objects those that do not go by themselves with another of them."""
    pairs = sorted(made)
    return connection.execute(_INDEPENDENT, [[c for c, _ in pairs], [o for _, o in pairs]]).fetchall()

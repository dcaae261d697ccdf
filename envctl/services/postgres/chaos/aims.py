"""What is aimed at: the table by its name as people write it, the condition on its rows, the identity; and all that is
wrong with it at once.
"""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from envctl.services.postgres.chaos.sessions import HOME, connect, described
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envctl.services.postgres.chaos.sessions import Connection
    from envctl.site import Site

JSON = dict[str, Any]

OPEN, COMMIT, IN_DOUBT = "open", "commit", "in-doubt"

_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence", "i": "an index"}
_RESTARTS_ITSELF = {"backend", "terminate", "policy"}

_FIND = """
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text, c.relpersistence::text,
       n.nspname IN ('pg_catalog', 'information_schema', 'pg_toast')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass(%(quoted)s) OR c.relname = %(raw)s AND c.relkind NOT IN ('i', 'I', 't')
ORDER BY c.oid = pg_catalog.to_regclass(%(quoted)s) DESC NULLS LAST
"""

_TABLES = """
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema|envctl_chaos_)' ORDER BY 1
"""

# The columns that a condition names, as the server itself understands it: what a view on it would depend on.
_NAMED = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_attribute a WHERE a.attrelid = %(table)s AND a.attnum IN (
  SELECT d.refobjsubid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
  WHERE r.ev_class = 'pg_temp.envctl_condition'::regclass AND d.refobjid = %(table)s AND d.refobjsubid > 0)
ORDER BY a.attnum
"""


@dataclass(frozen=True)
class Table:
    """A table that can be aimed at."""

    oid: int
    schema: str
    name: str
    unlogged: bool


@dataclass(frozen=True)
class Target:
    """What an aim means on the server; `columns` are those that `where` names, each with its type."""

    database: str
    table: Table | None
    columns: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]

    def to_json(self) -> JSON:
        """What goes into the journal."""
        return {
            "database": self.database,
            "table": asdict(self.table) if self.table else None,
            "columns": [list(column) for column in self.columns],
        }


def problems(aim: Mapping[str, Any]) -> Iterator[str]:
    """What no server could do."""
    table, rows, statements, at = aim["table"], aim["after_rows"], aim["after_statements"], aim["at"]
    if rows and not table:
        yield "--after-rows: wanted --table with it, rows are counted in one"
    if rows and statements:
        yield "--after-rows and --after-statements: wanted one of them"
    if statements and table:
        yield "--after-statements: wanted without --table, all statements of the transaction count"
    if statements and at != OPEN:
        yield f"--after-statements: wanted --at {OPEN}, found {at!r}; {COMMIT} and {IN_DOUBT} are moments of their own"
    if at == COMMIT and not table:
        yield f"--at {COMMIT}: wanted --table, whose writers are stopped when they commit; --at {IN_DOUBT} needs none"
    if aim["operation"] != "any" and not table:
        yield "--operation: wanted --table with it"
    if not aim["restart"] and aim["means"] in _RESTARTS_ITSELF:
        yield f"--restart no: wanted means that take the server down, found {aim['means']!r}, after which it is up"
    if not aim["restart"] and aim["means"] == "power":
        yield "--restart no: wanted without it, only envctl can start it on the disk whose power failed"


def target(site: Site, aim: Mapping[str, Any]) -> Target:
    """Find on the server what is aimed at; problems are collected.

    Raises:
        NotReady: the server does not answer.

    """
    found: list[str] = []
    database, name = HOME, aim["table"]
    with connect(site) as db:
        if role := aim["role"]:
            found += _role_problems(db, role, admin_of(site.at).username)
        if name and len(parts := _parts(db, name)) == 3:  # noqa: PLR2004 - database, schema, table
            database = parts[0]
            if not db.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [database]).fetchall():
                known = [row[0] for row in db.execute("SELECT datname FROM pg_catalog.pg_database").fetchall()]
                found.append(f"--table: no database is named {database!r}; {_nearest(database, known)}")
                return Target(database, None, (), tuple(found))
            name = ".".join('"' + part.replace('"', '""') + '"' for part in parts[1:])
    table: Table | None = None
    columns: tuple[tuple[str, str], ...] = ()
    with connect(site, database) as db:
        if name:
            table, reason = _table(db, name)
            found += [f"--table: {reason}"] if reason else []
        if aim["where"] and (table or not name):
            columns, reason = _condition(db, table, aim["where"])
            found += [f"--where: {reason}"] if reason else []
    return Target(database, table, columns, tuple(found))


def _role_problems(db: Connection, role: str, admin: str) -> list[str]:
    if role == admin:
        return [f"--role: wanted a client's, {role!r} is envctl's own"]
    known = [row[0] for row in db.execute("SELECT rolname FROM pg_catalog.pg_roles WHERE rolcanlogin").fetchall()]
    return [] if role in known else [f"--role: none that logs in is named {role!r}; {_nearest(role, known)}"]


def _parts(db: Connection, name: str) -> list[str]:
    import psycopg

    try:
        [[parts]] = db.execute("SELECT pg_catalog.parse_ident(%s)", [name]).fetchall()
    except psycopg.Error:
        return [name]  # not as SQL writes it: as it is called, then
    return list(parts)


def _table(db: Connection, name: str) -> tuple[Table | None, str]:
    """The table, or the reason why not."""
    import psycopg

    quoted: str | None = name
    try:
        db.execute("SELECT pg_catalog.to_regclass(%s)", [name])
    except psycopg.Error:
        quoted = None
    rows = db.execute(_FIND, {"quoted": quoted, "raw": name}).fetchall()
    visible = db.execute("SELECT pg_catalog.to_regclass(%s)::oid::bigint", [quoted]).fetchall()[0][0]
    rows = [row for row in rows if row[0] == visible] or rows
    if not rows:
        known = [part for row in db.execute(_TABLES).fetchall() for part in row]
        return None, f"none is named {name!r}; {_nearest(name, known)}"
    if len(rows) > 1:
        return None, f"{name!r} is in the schemas {', '.join(row[1] for row in rows)}; wanted SCHEMA.TABLE"
    oid, schema, relation, kind, persistence, internal = rows[0]
    if internal or kind not in {"r", "p"}:
        reason = "the server's own" if internal else _KINDS.get(kind, f"of kind {kind!r}")
        return None, f"wanted a table, {name!r} is {reason}; name the table behind it"
    return Table(oid, schema, relation, persistence == "u"), ""


def _condition(db: Connection, table: Table | None, where: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """The columns of the table that a condition names, or what the server says against it. Leaves nothing behind."""
    import psycopg
    from psycopg import sql

    source = sql.Identifier(table.schema, table.name) if table else sql.SQL("pg_catalog.pg_stat_activity")
    view = sql.SQL("CREATE TEMPORARY VIEW envctl_condition AS SELECT 1 AS one FROM {} WHERE ({}\n)")
    try:
        with db.transaction(force_rollback=True):
            # The condition is the caller's own SQL; the server reads it as that and as nothing else.
            # In binary, as that is the protocol which takes one statement and no more.
            db.execute(view.format(source, sql.SQL(where)), binary=True)
            columns = tuple(db.execute(_NAMED, {"table": table.oid if table else 0}).fetchall())
            if table:
                db.execute(predicate("pg_temp", table.name, columns, where), binary=True)
    except psycopg.Error as error:
        return (), f"{where!r}: {described(error)}"
    return columns, ""


def predicate(schema: str, name: str, columns: Any, where: str) -> Any:  # noqa: ANN401 - psycopg's, imported late
    """A function of the columns that a condition names, called like its table, so that both ways to write a column are
    understood; the server puts a simple one in the place of its call.
    """
    from psycopg import sql

    arguments = [sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(kind)) for column, kind in columns]
    return sql.SQL("CREATE FUNCTION {}({}) RETURNS boolean LANGUAGE sql AS {}").format(
        sql.Identifier(schema, name), sql.SQL(", ").join(arguments), sql.Literal(f"SELECT ({where}\n)")
    )


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    shown = ", ".join(sorted(set(known))[:20])
    return f"did you mean {near[0]!r}?" if near else f"there are: {shown or 'none'}"

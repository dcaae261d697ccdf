"""Temporary triggers by which a client's own write goes wrong: all of them in a schema of their own,
`envctl_chaos_<token>`, with a counter, and a table in which envctl itself tries them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.postgres.chaos.gates import schema_of, standing
from envctl.services.postgres.chaos.sessions import absent, answering, connect, described
from envctl.services.postgres.chaos.tables import names
from envctl.services.wire import admin_of
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    from envctl.services.postgres.chaos.sessions import Connection
    from envctl.site import Site

JSON = dict[str, Any]

_LOCK_WAIT = "500ms"
_PATIENCE = 5.0

# Whoever writes must be able to count.
_HOME = """
CREATE SCHEMA {schema};
CREATE SEQUENCE {schema}.count;
CREATE TABLE {schema}.probe (x int);
GRANT USAGE ON SCHEMA {schema} TO PUBLIC;
GRANT USAGE ON SEQUENCE {schema}.count TO PUBLIC;
CREATE FUNCTION {schema}.fire() RETURNS trigger LANGUAGE plpgsql AS $fire$ {body} $fire$
"""
_STATEMENT = "CREATE TRIGGER {schema} BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT"
_COMMIT = """
CREATE CONSTRAINT TRIGGER {schema} AFTER INSERT OR UPDATE OR DELETE ON {table}
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
"""

_REGCLASS = "SELECT oid::regclass::text FROM pg_catalog.pg_class WHERE oid = ANY(%s)"

_BLOCKERS = """
SELECT string_agg(pg_catalog.format('pid %%s (%%s, as %%s, %%s)', a.pid,
  coalesce(nullif(a.application_name, ''), 'no name'), a.usename, coalesce(a.state, a.backend_type)), '; ')
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE l.granted AND l.relation = pg_catalog.to_regclass(%s) AND l.mode <> 'AccessShareLock'
  AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
"""


def create(site: Site, seen: JSON, body: str, *, at_commit: bool = False) -> None:
    """Put one on each table, which runs `body` (PL/pgSQL) once a statement, or once a row at the commit; not for
    envctl's own identity.

    Raises:
        NotReady: a transaction keeps a table locked; says whose.

    """
    from psycopg import sql

    schema = schema_of(seen)
    kind = (_COMMIT if at_commit else _STATEMENT).replace("{schema}", schema)
    others = sql.SQL(" WHEN (session_user <> {}) ").format(sql.Literal(admin_of(site.at).username))
    with connect(site, seen["database"]) as db:
        with answering():
            db.execute(_HOME.format(schema=schema, body=body).encode())
        for table in [f"{schema}.probe", *names(db, seen["tables"])]:
            condition = sql.SQL(" ") if table.startswith(schema) else others
            statement = sql.SQL("{}{}EXECUTE FUNCTION {}.fire()").format(  # its names are quoted already
                sql.SQL(kind.replace("{table}", table)), condition, sql.SQL(schema)
            )
            _patiently(db, table, statement)


def _patiently(db: Connection, table: str, statement: Any) -> None:  # noqa: ANN401 - psycopg's, imported late
    """One statement about a table, anew while somebody has that locked: so that nobody queues behind it for long."""

    def attempt() -> None:
        import psycopg

        with answering():
            try:
                with db.transaction():
                    db.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'".encode())
                    db.execute(statement)
            except psycopg.errors.LockNotAvailable as error:
                [[found]] = db.execute(_BLOCKERS, [table]).fetchall()
                raise NotReady(f"{table} is locked by {found or 'a transaction that is over by now'}") from error
            except psycopg.errors.UndefinedTable as error:
                if db.execute("SELECT pg_catalog.to_regclass(%s)", [table]).fetchall() != [(None,)]:
                    raise NotReady(described(error)) from error  # otherwise it was dropped in this moment

    try:
        until(attempt, _PATIENCE, "a lock on the table")
    except TimedOut as error:
        raise NotReady(error.last) from error


def require(db: Connection, seen: JSON) -> list[str]:
    """The tables that have one, which are all.

    Raises:
        NotReady: one is missing, or does not fire.

    """
    found = {table: enabled for _, table, enabled in standing(db, seen)}
    if off := [table for table, enabled in found.items() if enabled != "O"]:
        raise NotReady(f"the trigger on {off[0]} is disabled")
    with answering():
        known = {row[0] for row in db.execute(_REGCLASS, [[table["oid"] for table in seen["tables"]]]).fetchall()}
    if missing := known - found.keys():
        raise NotReady(f"no trigger is on {min(missing)}")
    return sorted(known)


def attempt(site: Site, seen: JSON) -> str:
    """The SQLSTATE with which a write of envctl's own to its own table is refused; empty where it is not."""
    import psycopg

    with connect(site, seen["database"], "probe") as db, answering():
        db.execute("SET session_replication_role = origin")
        db.execute("SET deadlock_timeout = '300ms'")
        db.execute("SET lock_timeout = '2s'")
        try:
            db.execute(f"INSERT INTO {schema_of(seen)}.probe VALUES (1)".encode())
        except psycopg.errors.OperationalError as error:
            return error.sqlstate or ""
    return ""


def drop(site: Site, seen: JSON) -> int:
    """Remove all, wherever its tables are by now, and tell how far it had counted; idempotent.

    Raises:
        NotReady: a transaction keeps a table locked; says whose.

    """
    from psycopg import sql

    if absent(site, seen["database"]):
        return 0
    schema = schema_of(seen)
    with connect(site, seen["database"]) as db:
        with answering():
            counted = _count(db, schema)
        for name, table, _ in standing(db, seen):
            statement = sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(name), sql.SQL(table))
            _patiently(db, table, statement)
        with answering():
            db.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
    return counted


def _count(db: Connection, schema: str) -> int:
    if db.execute("SELECT pg_catalog.to_regclass(%s)", [f"{schema}.count"]).fetchall() == [(None,)]:
        return 0
    query = f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.count"
    return int(db.execute(query.encode()).fetchall()[0][0])


def require_gone(site: Site, seen: JSON) -> JSON:
    """See that nothing is left.

    Raises:
        NotReady: something is.

    """
    if not absent(site, seen["database"]):
        with connect(site, seen["database"]) as db, answering():
            query = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s"
            if db.execute(query, [schema_of(seen)]).fetchall():
                raise NotReady("its triggers are still there")
    return {"triggers": "removed"}

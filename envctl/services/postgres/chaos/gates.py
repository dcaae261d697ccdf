"""The gate in a table: temporary triggers that stop a transaction at a row or at its commit.

They wait for an advisory lock that a session of envctl's holds. When that session ends, however, the lock is free and
the transaction goes on: the gate fails open. Everything is in a schema of its own, `envctl_chaos_<token>`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.postgres.chaos.aims import COMMIT, IN_DOUBT, predicate
from envctl.services.postgres.chaos.sessions import answering, described
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from envctl.services.postgres.chaos.sessions import Connection

JSON = dict[str, Any]

PREFIX = "envctl_chaos_"
WAIT, MARK = 1, 2
"""The second number of the advisory locks: what the victim waits for, and what it carries when it goes to commit."""

_LOCK_WAIT = "500ms"
_PATIENCE = 5.0
_OPERATIONS = {"any": "insert or update or delete"}

# Counts in a setting of the transaction: a savepoint that is rolled back takes its rows along.
_FUNCTION = """
CREATE FUNCTION {schema}.gate() RETURNS trigger LANGUAGE plpgsql AS $gate$
DECLARE
  written integer := coalesce(nullif(pg_catalog.current_setting('{schema}.rows', true), ''), '0')::integer + 1;
BEGIN
  IF written <= {rows} THEN
    PERFORM pg_catalog.set_config('{schema}.rows', written::text, true);
  END IF;
  IF written = {rows} THEN
    {stop}
  END IF;
  RETURN NULL;
END $gate$
"""

_STOP = "PERFORM pg_catalog.pg_advisory_xact_lock_shared({key}, {wait});"

# Whoever is marked waits, when its commit is durable, for a standby that does not exist. Without a session of envctl's
# nobody is marked.
_MARK = """
    IF NOT pg_catalog.pg_try_advisory_xact_lock_shared({key}, {wait}) THEN
      PERFORM pg_catalog.pg_advisory_xact_lock_shared({key}, {mark});
      PERFORM pg_catalog.set_config('synchronous_commit', 'on', true);
    END IF;
"""

_TRIGGERS = """
SELECT t.tgname, t.tgrelid::regclass::text, t.tgenabled::text FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = %s AND t.tgparentid = 0
"""

_NAME = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s
"""

_HOLDERS = """
SELECT a.pid, coalesce(nullif(a.application_name, ''), 'no name'), a.usename, coalesce(a.state, a.backend_type)
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE l.granted AND l.relation = %s AND l.pid <> pg_backend_pid() AND l.mode <> 'AccessShareLock'
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
ORDER BY a.xact_start LIMIT 5
"""


def schema_of(survey: JSON) -> str:
    """Where all of the gate is."""
    return PREFIX + str(survey["token"])


def create(db: Connection, aim: Mapping[str, Any], survey: JSON, admin: str) -> None:
    """Put the triggers on the table; all or nothing.

    Raises:
        NotReady: a transaction keeps the table locked; says whose.

    """
    import psycopg

    def attempt() -> None:
        try:
            with db.transaction():
                db.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
                for statement in _statements(db, aim, survey, admin):
                    db.execute(statement)
        except psycopg.errors.LockNotAvailable as error:
            raise NotReady(_blocked(db, survey)) from error
        except psycopg.errors.QueryCanceled as error:
            raise NotReady(described(error)) from error

    try:
        until(attempt, _PATIENCE, "a gate in the table")
    except TimedOut as error:
        raise NotReady(error.last) from error


def _statements(db: Connection, aim: Mapping[str, Any], survey: JSON, admin: str) -> Iterator[Any]:
    from psycopg import sql

    schema, key = schema_of(survey), survey["key"]
    stop = (_MARK if aim["at"] == IN_DOUBT else _STOP).format(key=key, wait=WAIT, mark=MARK)
    yield sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema))
    yield _FUNCTION.format(schema=schema, rows=max(1, aim["after_rows"]), stop=stop).encode()
    [[table]] = db.execute(_NAME, [survey["table"]["oid"]]).fetchall()
    if aim["where"]:
        yield predicate(schema, survey["table"]["name"], survey["columns"], aim["where"])
    deferred = aim["at"] == COMMIT
    for row, operations in _events(aim["operation"]):
        yield sql.SQL(
            "CREATE {kind} TRIGGER {name} AFTER {operations} ON {table} {deferred} FOR EACH ROW WHEN ({condition})"
            " EXECUTE FUNCTION {function}()"
        ).format(
            kind=sql.SQL("CONSTRAINT" if deferred else ""),
            name=sql.Identifier(f"{schema}_{row.lower()}"),
            operations=sql.SQL(operations),
            table=sql.SQL(table),
            deferred=sql.SQL("DEFERRABLE INITIALLY DEFERRED" if deferred else ""),
            condition=_condition(aim, survey, row, admin),
            function=sql.Identifier(schema, "gate"),
        )


def _events(operation: str) -> list[tuple[str, str]]:
    """Which version of the row a condition is about, for which operations: the new one unless there is none."""
    if operation == "any":
        return [("NEW", "INSERT OR UPDATE"), ("OLD", "DELETE")]
    return [("OLD" if operation == "delete" else "NEW", operation.upper())]


def _condition(aim: Mapping[str, Any], survey: JSON, row: str, admin: str) -> Any:  # noqa: ANN401 - psycopg's
    """Who and what is meant; evaluated for each row before anything is called, so that others hardly pay."""
    from psycopg import sql

    # As short as it can be: each statement pays for reading it. The name of a session is cut to 63 bytes by the server.
    parts = []
    if aim["application"]:
        name = aim["application"].encode()[:63].decode(errors="ignore")
        parts.append(sql.SQL("pg_catalog.current_setting('application_name') = {}").format(sql.Literal(name)))
    if aim["role"]:
        parts.append(sql.SQL("session_user = {}").format(sql.Literal(aim["role"])))
    elif not aim["application"]:
        parts.append(sql.SQL("session_user <> {}").format(sql.Literal(admin)))
    if aim["where"]:
        columns = [sql.SQL(row + ".{}").format(sql.Identifier(name)) for name, _ in survey["columns"]]
        parts.append(
            sql.SQL("{}({})").format(
                sql.Identifier(schema_of(survey), survey["table"]["name"]), sql.SQL(", ").join(columns)
            )
        )
    return sql.SQL(" AND ").join(parts)


def standing(db: Connection, survey: JSON) -> list[tuple[Any, ...]]:
    """The triggers of this gate that are there: name, table, whether enabled."""
    with answering():
        return db.execute(_TRIGGERS, [schema_of(survey)]).fetchall()


def drop(db: Connection, survey: JSON) -> None:
    """Remove the triggers wherever their table is by now, the functions and the schema; idempotent.

    Raises:
        NotReady: a transaction keeps the table locked; says whose.

    """
    import psycopg
    from psycopg import sql

    schema = schema_of(survey)
    functions = (
        "SELECT p.oid::regprocedure::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n"
        " ON n.oid = p.pronamespace WHERE n.nspname = %s"
    )
    with answering():
        try:
            with db.transaction():
                db.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
                for name, table, _ in standing(db, survey):
                    db.execute(sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(name), sql.SQL(table)))
                for [signature] in db.execute(functions, [schema]).fetchall():
                    db.execute(sql.SQL("DROP FUNCTION IF EXISTS {}").format(sql.SQL(signature)))
                db.execute(sql.SQL("DROP SCHEMA IF EXISTS {}").format(sql.Identifier(schema)))
        except psycopg.errors.LockNotAvailable as error:
            raise NotReady(_blocked(db, survey)) from error


def _blocked(db: Connection, survey: JSON) -> str:
    table = survey["table"]
    rows = db.execute(_HOLDERS, [table["oid"]]).fetchall()
    held = "; ".join(f"pid {pid} ({name}, as {role}, {state})" for pid, name, role, state in rows)
    return f"table {table['schema']}.{table['name']} is locked by {held or 'a transaction that is over by now'}"

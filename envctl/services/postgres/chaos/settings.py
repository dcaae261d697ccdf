"""The gate of a commit that is durable and not answered yet: a standby that does not exist.

It is the one gate that lives in the server's configuration, so it does not open by itself: what was set before is
recorded, and restored first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit
from envctl.protocols import NotReady
from envctl.services.postgres.chaos.sessions import answering, connect
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.services.postgres.chaos.sessions import Connection
    from envctl.site import Site

JSON = dict[str, Any]

STANDBYS, COMMIT = "synchronous_standby_names", "synchronous_commit"

# What ALTER SYSTEM wrote; by the file and not by the value in force, which may come from elsewhere.
_WRITTEN = """
SELECT name, setting FROM pg_catalog.pg_file_settings
WHERE sourcefile LIKE '%%/postgresql.auto.conf' AND name = ANY(%s) ORDER BY seqno
"""


def record(db: Connection) -> JSON:
    """What ALTER SYSTEM had set, None where nothing.

    Raises:
        FaultUnfit: this server cannot have such a gate.

    """
    with answering():
        rows = db.execute(
            "SELECT name, setting, source FROM pg_catalog.pg_settings WHERE name = ANY(%s)",
            [[STANDBYS, "max_wal_senders"]],
        ).fetchall()
    found = {name: (setting, source) for name, setting, source in rows}
    standbys, source = found[STANDBYS]
    if standbys or source == "command line":
        raise FaultUnfit(
            "a commit that waits for an answer which never comes",
            f"{STANDBYS} is {standbys!r} already ({source})",
            "remove it from the service's options, or use --at commit",
        )
    if found["max_wal_senders"][0] == "0":
        raise FaultUnfit(
            "a commit that waits for an answer which never comes",
            "max_wal_senders is 0: no commit of this server ever waits",
            "remove it from the service's options, or use --at commit",
        )
    return written(db)


def written(db: Connection, names: Sequence[str] = (STANDBYS, COMMIT)) -> JSON:
    """These settings as ALTER SYSTEM has them now, None where it has not."""
    with answering():
        return dict.fromkeys(names) | dict(db.execute(_WRITTEN, [list(names)]).fetchall())


def impose(db: Connection, token: str, *, marked_only: bool) -> None:
    """Have commits wait: everybody's, or only those that a trigger marks."""
    with answering():
        if marked_only:
            # As durable here as `on` is without a standby; who has it in force waits for nobody.
            db.execute(f"ALTER SYSTEM SET {COMMIT} = 'local'")
        db.execute(f"ALTER SYSTEM SET {STANDBYS} = 'envctl_chaos_{token}'".encode())
        db.execute("SELECT pg_catalog.pg_reload_conf()")


def write_back(db: Connection, recorded: JSON) -> None:
    """Restore the file, so that the next start is as before; the server that runs goes on as it is."""
    from psycopg import sql

    with answering():
        now = written(db, list(recorded))
        for name, value in recorded.items():
            if now[name] != value:
                statement = sql.SQL("ALTER SYSTEM RESET {}" if value is None else "ALTER SYSTEM SET {} = {}")
                db.execute(statement.format(sql.Identifier(name), sql.Literal(value)))


def restore(db: Connection, recorded: JSON) -> None:
    """Restore the file and have the server read it: whoever waits, goes on, its commit answered. Idempotent."""
    write_back(db, recorded)
    with answering():
        db.execute("SELECT pg_catalog.pg_reload_conf()")


def check(site: Site, watcher: Connection) -> None:
    """See a commit wait: of a session of envctl's own, which is let go.

    Raises:
        NotReady: it did not.

    """
    with connect(site, name="probe") as probe, answering():
        pid = probe.info.backend_pid
        probe.execute(f"SET {COMMIT} = 'on'")
        probe.pgconn.send_query(b"SELECT pg_catalog.pg_logical_emit_message(true, 'envctl', '')")

        def waits() -> None:
            rows = watcher.execute("SELECT wait_event, state FROM pg_stat_activity WHERE pid = %s", [pid]).fetchall()
            if rows != [("SyncRep", "active")]:
                raise NotReady("a commit does not wait yet")

        try:
            until(waits, 0.3, "a commit waits")
        except Exception as error:
            raise NotReady(str(error)) from error
        finally:
            watcher.execute("SELECT pg_catalog.pg_cancel_backend(%s)", [pid])
            probe.pgconn.finish()

"""Sessions that outlive the process that began them: `psql` in the container, which ends by itself soon after the time.

Each is known by its name, `envctl-<token>`, and is ended by that; nobody else's is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.model import State
from envctl.protocols import Lost, NotReady
from envctl.services.postgres.chaos.sessions import answering, connect
from envctl.services.wire import admin_of
from envctl.waiting import until

if TYPE_CHECKING:
    from envctl.services.postgres.chaos.sessions import Connection
    from envctl.site import Site

JSON = dict[str, Any]

GRACE = 15.0
"""Seconds beyond the fault's own in which healing ends a session before it goes by itself."""
_PATIENCE = 10.0

# What roles and databases set for themselves must not end it. It never looks for deadlocks: others do.
_SETTINGS = {
    "statement_timeout": 0,
    "lock_timeout": 0,
    "idle_in_transaction_session_timeout": 0,
    "client_connection_check_interval": 0,
    "deadlock_timeout": "1h",
    "default_transaction_read_only": "off",
}
# Since version 17; where it is not known it is not in force.
_UNTIMED = (
    "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'"
)

# With the memory that sessions share everything of them goes, and this process is started anew.
_LIFE = "SELECT backend_start::text FROM pg_catalog.pg_stat_activity WHERE backend_type = 'checkpointer'"

_MINE = """
SELECT a.pid, a.wait_event_type = 'Lock', a.backend_xmin::text, a.backend_xid::text,
  (SELECT string_agg(pg_catalog.format('pid %%s (%%s, as %%s, %%s)', b.pid, coalesce(nullif(b.application_name, ''),
    'no name'), b.usename, b.state), '; ') FROM pg_catalog.pg_stat_activity b
    WHERE b.pid = ANY(pg_catalog.pg_blocking_pids(a.pid)))
FROM pg_catalog.pg_stat_activity a WHERE a.application_name = %s AND a.usename = current_user
"""


def name_of(token: str) -> str:
    """Of the session."""
    return f"envctl-{token}"


def life(db: Connection) -> str:
    """When the server's sessions began: another value means that all of before have ended.

    Raises:
        NotReady: it cannot be asked.

    """
    with answering():
        return "".join(str(row[0]) for row in db.execute(_LIFE).fetchall())


def begin(site: Site, database: str, token: str, *statements: str) -> None:
    """Start a session that runs these, each in a message of its own, and leave it to itself."""
    options = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    settings = {"user": admin_of(site.at).username, "dbname": database, "application_name": name_of(token)}
    words = " ".join(f"{key}={_quoted(value)}" for key, value in {**settings, "options": options}.items())
    commands = [word for statement in (_UNTIMED, *statements) for word in ("-c", statement)]
    site.hands.spawn(site.container.id, ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", words, *commands])


def _quoted(value: str) -> str:
    """As a connection string of libpq has it."""
    return "'" + value.replace("\\", r"\\").replace("'", r"\'") + "'"


def require(db: Connection, token: str) -> JSON:
    """What the server says of it: its process and what it keeps of the past (`xmin`, `xid`).

    Raises:
        NotReady: it is not there, or waits for a lock of others; says whose.

    """
    with answering():
        rows = db.execute(_MINE, [name_of(token)]).fetchall()
    if not rows:
        raise NotReady("the session that does it is not there; `envctl logs postgres` tells why")
    pid, waits, xmin, xid, blockers = rows[0]
    if waits:
        raise NotReady(f"it waits for {blockers or 'a transaction that is over by now'}")
    return {"pid": pid, "xmin": xmin, "xid": xid}


def end(site: Site, token: str, recorded: str) -> None:
    """End it, and wait until it is gone; content where it is. `recorded` is the server's life of before.

    Raises:
        NotReady: the server does not answer.
        Lost: the server's sessions have ended meanwhile, this one with them.

    """
    if (now := site.now()).state not in {State.RUNNING, State.PAUSED}:
        raise Lost(f"its container is {now.state}: all sessions ended")
    with connect(site, "postgres") as db, answering():
        query = (
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
            " WHERE application_name = %s AND usename = current_user"
        )
        ended = db.execute(query, [name_of(token)]).fetchall()
        until(lambda: _require_gone(db, token), _PATIENCE, "the session's end")
        if not ended and life(db) != recorded:
            raise Lost("the server ended all sessions meanwhile, this one with them")


def _require_gone(db: Connection, token: str) -> None:
    if db.execute(_MINE, [name_of(token)]).fetchall():
        raise NotReady("its session is still there")


def require_gone(site: Site, token: str) -> JSON:
    """See that nothing of it is left.

    Raises:
        NotReady: it is there.

    """
    with connect(site, "postgres") as db, answering():
        _require_gone(db, token)
    return {"session": "ended"}

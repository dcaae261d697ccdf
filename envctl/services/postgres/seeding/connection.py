"""The loader's own connections, and what the server's errors mean to people."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from envctl.errors import SeedFailed
from envctl.protocols import NotReady
from envctl.services.wire import admin_of
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from envctl.model import Endpoint

    Connection = psycopg.Connection[tuple[Any, ...]]

DATABASE = "app"
OWNER = "app"
"""Who owns what a dataset makes, and in whose name its rows are written."""

APPLICATION = "envctl-seed"

_LOCK_WAIT_MS = 5000
_GONE_IN = 5.0

# A commit need not wait for the disk: marks and rows are lost together, and the last commit of a load waits for all.
# The server looks after its client once a second, so that nothing goes on for a killed envctl.
_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "synchronous_commit": "off",
    "lock_timeout": str(_LOCK_WAIT_MS),
    "client_connection_check_interval": "1000",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "maintenance_work_mem": "128MB",
    "jit": "off",
}

# What psycopg warns of, a COPY on a broken line, we say in an error: stderr is not for it unless logging is set up.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

_LOST = "its connection was lost"
_LOST_ADVICE = (
    "look into `envctl logs postgres`, bring it up with `envctl up`, then run `envctl seed` again: it goes on from here"
)
_SHUT_DOWN = frozenset({"57P01", "57P02", "57P03"})
LOCKED = "55P03"


def connect(at: Endpoint) -> Connection:
    """A connection of the admin's to the database `app`.

    Raises:
        SeedFailed: the server is not there, or refuses the login.

    """
    import psycopg

    admin = admin_of(at)
    try:
        return psycopg.connect(
            host=at.host,
            port=at.port,
            user=admin.username,
            password=admin.password,
            dbname=DATABASE,
            application_name=APPLICATION,
            connect_timeout=10,
            client_encoding="UTF8",
            gssencmode="disable",
            sslmode="disable",
            autocommit=True,
            options=" ".join(f"-c {name}={value}" for name, value in _SETTINGS.items()),
        )
    except psycopg.Error as error:
        raise SeedFailed(
            f"a login to PostgreSQL as {admin.username!r} at {at.address}",
            " ".join(str(error).split()),
            "see `envctl status`; `envctl up` brings it up, `envctl down` and `up` give it new credentials",
        ) from error


@contextmanager
def failing(wanted: str, advice: str = "") -> Iterator[None]:
    """Errors of the server as `SeedFailed`: what was wanted, and what it said."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        if lost(error):
            raise SeedFailed(wanted, f"{_LOST}: {described(error)}", _LOST_ADVICE) from error
        raise SeedFailed(
            wanted, described(error), advice or "mend the dataset or what stands in its way, then seed again"
        ) from error


def lost(error: psycopg.Error) -> bool:
    """Whether the error is that nobody is there any more."""
    return not error.sqlstate or error.sqlstate[:2] == "08" or error.sqlstate in _SHUT_DOWN


def described(error: psycopg.Error) -> str:
    """Message, details and SQLSTATE of a refusal, in one line."""
    said = error.diag
    parts = [said.message_primary or " ".join(str(error).split()), said.message_detail, said.message_hint]
    text = "; ".join(part.rstrip(".") for part in parts if part)
    if said.constraint_name and said.constraint_name not in text:
        text += f"; constraint {said.constraint_name!r}"
    return f"{text} ({error.sqlstate})" if error.sqlstate else text


def sever(connection: Connection) -> None:
    """End what another thread waits for on this connection, at once: its call fails as on a broken line."""
    with suppress(OSError, Exception):
        twin = socket.socket(fileno=os.dup(connection.fileno()))
        with twin:
            twin.shutdown(socket.SHUT_RDWR)


def end_leftovers(connection: Connection) -> None:
    """End the sessions that a killed envctl left behind; the holder of the environment's lock alone may call this.

    Raises:
        SeedFailed: one of them does not end.

    """
    query = (
        "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = %s AND datname = current_database() AND usename = current_user"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )

    def ended() -> None:
        left = connection.execute(query, [APPLICATION]).fetchall()
        if left:
            raise NotReady(f"session {left[0][0]} is still there")

    try:
        with failing("no other loader in PostgreSQL"):
            until(ended, _GONE_IN, "sessions of a killed loader")
    except TimedOut as error:
        raise SeedFailed(
            "no other loader in PostgreSQL", error.last, "wait for it, or restart the service, then seed again"
        ) from error


@contextmanager
def naming_holders(connection: Connection, wanted: str) -> Iterator[None]:
    """As `failing`, and where a lock could not be had it says who holds locks on tables of this database."""
    import psycopg

    try:
        with failing(wanted):
            yield
    except SeedFailed as failure:
        cause = failure.__cause__
        if not isinstance(cause, psycopg.Error) or cause.sqlstate != LOCKED:
            raise
        raise SeedFailed(
            wanted,
            f"no lock within {_LOCK_WAIT_MS // 1000} s; {_holders(connection)}",
            "end that session or its transaction, then run this again; nothing was changed by this attempt",
        ) from cause


def _holders(connection: Connection) -> str:
    rows = connection.execute(
        "SELECT a.pid, coalesce(nullif(a.application_name, ''), 'no name'), a.usename, a.state,"
        " string_agg(DISTINCT l.relation::regclass::text, ', ')"
        " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE l.granted AND l.locktype = 'relation' AND l.relation >= 16384 AND l.pid <> pg_backend_pid()"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) GROUP BY 1, 2, 3, 4"
    ).fetchall()
    held = [f"pid {pid} ({name}, as {user}, {state}) holds {tables}" for pid, name, user, state, tables in rows]
    return "; ".join(held) or "its holder is gone by now"

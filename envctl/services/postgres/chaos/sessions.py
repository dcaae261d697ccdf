"""Sessions of envctl's own, by which transactions of others are watched."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from envctl.site import Site

    Connection = psycopg.Connection[tuple[Any, ...]]

APPLICATION = "envctl-chaos"
HOME = "app"
"""The database where nothing names another."""

NO_SUCH_DATABASE = "3D000"

# Commits wait for this server's disk and for no other server, whatever a gate makes of everybody else's, and go on
# where a fault has made the server read-only. The user's event triggers do not fire for what is not there to stay. A
# look that has begun ends, though its client has died: in its midst a process may be stopped.
_SETTINGS = {
    "default_transaction_read_only": "off",
    "synchronous_commit": "local",
    "session_replication_role": "replica",
    "statement_timeout": "0",
    "lock_timeout": "1000",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "client_connection_check_interval": "0",
    "jit": "off",
    "datestyle": "ISO",
}


def connect(site: Site, database: str = HOME, name: str = "") -> Connection:
    """A session of envctl's own identity, in autocommit, named `envctl-chaos <name>`. It waits for no answer for ever.

    Raises:
        NotReady: the server is not there, or refuses the login.

    """
    from envctl.services.postgres.chaos.bounded import Bounded

    admin = admin_of(site.at)
    with answering():
        return Bounded.connect(
            host=site.at.host,
            port=site.at.port,
            user=admin.username,
            password=admin.password,
            dbname=database,
            application_name=f"{APPLICATION} {name}".strip(),
            connect_timeout=5,
            gssencmode="disable",
            sslmode="disable",
            autocommit=True,
            prepare_threshold=None,
            options=" ".join(f"-c {name}={value}" for name, value in _SETTINGS.items()),
        )


@contextmanager
def answering() -> Iterator[None]:
    """Errors of the server as `NotReady`, with what it said."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise NotReady(described(error)) from error


def described(error: psycopg.Error) -> str:
    """Message and SQLSTATE, in one line."""
    text = error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__
    return f"{text} ({error.sqlstate})" if error.sqlstate else text


def absent(site: Site, database: str) -> bool:
    """Whether there is no such database any more; one that cannot be asked is taken as there."""
    with connect(site, "postgres") as db, answering():
        return not db.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [database]).fetchall()

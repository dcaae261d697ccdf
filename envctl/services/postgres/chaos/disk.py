"""What a full, read-only or slow disk means to PostgreSQL: where its data lies, and a write that reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from envctl.model import Endpoint
    from envctl.site import Site


class PostgresDisk:
    """`KeepsData`."""

    data_directory = "/var/lib/postgresql/data"
    writes_need_room = True
    syncs = True
    remembers = 0.0

    def fears_power(self, site: Site) -> str:
        """Without fsync it need not start any more, once the power has failed."""
        from envctl.services.postgres.chaos.sessions import answering, connect

        with connect(site) as db, answering():
            off = db.execute("SHOW fsync").fetchall() == [("off",)]
        return "fsync is off: it may never start again; `envctl up` it without --fast" if off else ""

    def write(self, at: Endpoint, timeout: float) -> None:
        """Have a file made and taken back with its transaction, then a commit flushed that says nothing."""
        from envctl.services.postgres.session import Session

        # In the database `postgres`: a session in `app` would be in the way of a reset.
        with Session(at, admin_of(at), "postgres", timeout) as session:
            session.query("BEGIN; CREATE TABLE envctl_write (x int); ROLLBACK")
            session.query(
                "BEGIN; SET LOCAL synchronous_commit = on; SELECT pg_logical_emit_message(true, 'envctl', ''); COMMIT"
            )

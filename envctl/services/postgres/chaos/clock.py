"""What time PostgreSQL has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from envctl.model import Endpoint


class PostgresClock:
    """`TellsTime`."""

    def clock(self, at: Endpoint, timeout: float) -> float:
        """`clock_timestamp()`, to the microsecond."""
        from envctl.services.postgres.session import Session

        with Session(at, admin_of(at), "postgres", timeout) as session:
            return float(session.query("SELECT extract(epoch FROM clock_timestamp())")[0][0] or 0)

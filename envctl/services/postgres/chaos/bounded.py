"""A connection on which every answer has a time limit.

A server's own limits are of no use where it stands still: frozen, or with a process of its own stopped that has what
all others need. Who heals must come to an end there, too: it may be his next act that lets it go.
"""

from __future__ import annotations

import threading
from typing import Any

import psycopg

from envctl.services.postgres.seeding.connection import sever

LONGEST = 60.0
"""Seconds for one statement; none that is meant takes more than ten."""


class Bounded(psycopg.Connection[tuple[Any, ...]]):
    """As psycopg's own; what takes too long ends as on a broken line, and with it the connection."""

    def wait(self, gen: Any, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 - as psycopg's, whatever its version
        """Everything but the login comes through here."""
        late = threading.Event()

        def end() -> None:
            late.set()
            sever(self)

        timer = threading.Timer(LONGEST, end)
        timer.daemon = True
        timer.start()
        try:
            return super().wait(gen, *rest, **more)
        except psycopg.OperationalError as error:
            if late.is_set():
                raise psycopg.OperationalError(f"no answer within {LONGEST:g} s") from error
            raise
        finally:
            timer.cancel()

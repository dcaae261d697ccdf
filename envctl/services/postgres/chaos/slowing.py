"""A statement by which is seen whether statements are slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.services.slow_requests import timed
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from envctl.site import Site


def ask(site: Site, text: str, timeout: float) -> float:
    """Seconds that a statement with that text in it takes, as the tests' own identity.

    Raises:
        NotReady: longer than `timeout`, or it was refused.

    """
    from envctl.services.postgres.session import Session

    # In the database `postgres`: a session in `app` would be in the way of a reset.
    with Session(site.at, app_of(site.at), "postgres", timeout) as session:
        return timed(lambda: session.query(f"SELECT pg_catalog.length($envctl${text}$envctl$)"))

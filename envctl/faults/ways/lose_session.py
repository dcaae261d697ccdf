"""Lose clients' sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import Abode, parameter
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class LoseSession(OwnWay):
    """End sessions of clients in the server; it is over at once.

    Spark Connect: what runs in them is interrupted, and every later call in them is refused, with
    `INVALID_HANDLE.SESSION_CLOSED`, or with `NO_ACTIVE_SESSION` when they are `forgotten`. Temporary views, settings
    and artifacts are gone with a session, and do not come back. A new session works.
    """

    name: ClassVar[str] = "lose-session"
    summary: ClassVar[str] = "Lose clients' sessions, with all that is in them."
    instead: ClassVar[str] = "restart or revoke-credentials, which end its clients' connections"
    lives_in: ClassVar[Abode] = Abode.PROCESS
    bites_within: ClassVar[float] = 60.0

    how: str = parameter("", "As what; without it closed.")
    user: str = parameter("", "Only sessions of who calls itself so.", metavar="NAME")
    session: str = parameter("", "Only the session with this id.", metavar="ID")

    @property
    def momentary(self) -> bool:
        """It is over when they are gone."""
        return True

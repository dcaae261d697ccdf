"""Lock tables, or rows of one, as a transaction that does not end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import Abode, parameter
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class Lock(OwnWay):
    """Hold a lock on a table, on all tables, or on rows of one, as somebody's transaction does that never ends.

    A client that needs what is locked waits, until it is healed or its own time limit (`lock_timeout`,
    `statement_timeout`) ends the wait; one that asks with NOWAIT is refused at once, one with SKIP LOCKED sees no rows.

    A session on the server holds it, which ends by itself soon after the time.
    """

    name: ClassVar[str] = "lock"
    summary: ClassVar[str] = "Lock tables, or rows of one, in a transaction that does not end."
    lives_in: ClassVar[Abode] = Abode.PROCESS
    instead: ClassVar[str] = "slow-commands or pause"

    table: str = parameter("", "The table; all of the tests' database without it.", metavar="NAME")
    rows: str = parameter("", "Only its rows that match, by a condition in SQL.", metavar="CONDITION")
    strength: str = parameter("", "How strong; the strongest without it.", metavar="WORD")

"""Have a client's transaction be the victim of a deadlock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import parameter
from envctl.faults.values import count
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class Deadlock(OwnWay):
    """Have the next transaction that writes to a table get into a real deadlock, in which it is the one that gives up.

    It waits for a session of envctl's, which waits for it; the server finds that, as it finds every deadlock, and ends
    the client's transaction. All others go on. When as many were hurt as are wanted, nobody is any more.
    """

    name: ClassVar[str] = "deadlock"
    summary: ClassVar[str] = "The next transaction that writes is the victim of a deadlock."
    instead: ClassVar[str] = "kill-mid-transaction or pause"
    bites_within: ClassVar[float] = 20.0

    table: str = parameter("", "The table that is written to; all of the tests' database without it.", metavar="NAME")
    victims: int = parameter(1, "How many transactions, one after the other.", kind=count, metavar="N")

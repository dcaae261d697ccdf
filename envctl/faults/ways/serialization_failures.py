"""Have transactions that write fail as if others had been faster, so that they must be repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import parameter
from envctl.faults.values import count
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class SerializationFailures(OwnWay):
    """Refuse transactions that write with a serialization failure, as a busy server does at a strict isolation level.

    Each n-th transaction is refused, the first of all at once: a client that repeats its transaction gets through. It
    is rolled back, and nothing else happens to it.
    """

    name: ClassVar[str] = "serialization-failures"
    summary: ClassVar[str] = "Transactions that write are refused, and succeed when repeated."
    instead: ClassVar[str] = "read-only or kill-mid-transaction"
    bites_within: ClassVar[float] = 15.0

    table: str = parameter("", "The table that is written to; all of the tests' database without it.", metavar="NAME")
    every: int = parameter(2, "Every n-th transaction, beginning with the first; 1: all.", kind=count, metavar="N")
    at: str = parameter("", "When; the service's first without it.", metavar="WORD")

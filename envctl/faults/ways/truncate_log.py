"""Delete a topic's oldest records, as retention does it, under the feet of who has not read them yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from envctl.faults.fault import parameter
from envctl.faults.values import count
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class TruncateLog(OwnWay):
    """A topic's oldest records are deleted for good; a consumer that has not read them yet finds its place gone.

    It is over at once, and nothing brings the records back: what is gone is told.
    """

    name: ClassVar[str] = "truncate-log"
    summary: ClassVar[str] = "Delete a topic's oldest records for good, as retention does."
    instead: ClassVar[str] = "what the service has for deleting: a statement of the test's own"
    momentary: ClassVar[bool] = True

    topic: str = parameter("", "The topic; the only one without it.", metavar="NAME")
    partition: int | Literal[""] = parameter("", "Which of its partitions; all without it.", kind=count)
    keep: int = parameter(0, "How many records stay at the end of each.", kind=count)

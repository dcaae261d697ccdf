"""Write a record that consumers choke on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from envctl.faults.fault import parameter
from envctl.faults.values import count
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class PoisonRecord(OwnWay):
    """One record that consumers cannot make sense of lies in a topic; they must get past it by themselves.

    Where it lies is in the evidence. It is taken out again where it is the first record that is left; a record in the
    middle of a log stays, as Kafka takes none out.
    """

    name: ClassVar[str] = "poison-record"
    summary: ClassVar[str] = "Write one record that consumers cannot digest."
    instead: ClassVar[str] = "a statement of the test's own"

    topic: str = parameter("", "The topic; the only one without it.", metavar="NAME")
    partition: int | Literal[""] = parameter("", "Which of its partitions; any, by the seed, without it.", kind=count)
    kind: str = parameter("", "What is wrong with it: the first of its words without it.", metavar="WORD")

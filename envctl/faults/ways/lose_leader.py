"""A partition has no leader: nobody can write to it or read from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from envctl.faults.fault import Abode, parameter
from envctl.faults.values import count
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class LoseLeader(OwnWay):
    """Nobody leads a topic's partitions: clients are told so, and who asks the broker all the same is sent away.

    Afterwards an election gives them their leader back, with all their records. Other topics go on.
    """

    name: ClassVar[str] = "lose-leader"
    summary: ClassVar[str] = "Nobody leads a topic's partitions: no writes, no reads."
    instead: ClassVar[str] = "pause, or stop"
    lives_in: ClassVar[Abode] = Abode.PROCESS

    topic: str = parameter("", "The topic; the only one without it.", metavar="NAME")
    partition: int | Literal[""] = parameter("", "Which of its partitions; all without it.", kind=count)

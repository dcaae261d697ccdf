"""Let a service's commands take longer, all or some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import Abode, parameter
from envctl.faults.values import count, duration
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class SlowCommands(OwnWay):
    """Hold commands back for a time before the server gets them, on live connections and new ones.

    What is held is what a client sent; nothing of it is changed or lost, and what follows on the same connection waits
    behind it, as behind a slow command. Other connections go on. A client sees its answer late, or its own time limit.

    When everything of envctl's dies, the kernel lets everything pass.
    """

    name: ClassVar[str] = "slow-commands"
    summary: ClassVar[str] = "Each of its commands, or some by their text, takes longer."
    lives_in: ClassVar[Abode] = Abode.PROCESS
    instead: ClassVar[str] = "latency, pause or slow-disk"
    bites_within: ClassVar[float] = 30.0

    delay: float = parameter(1.0, "How long each is held back.", kind=duration, metavar="TIME")
    matching: str = parameter(
        "", "Only those with this text in them, in whatever case; all without it.", metavar="TEXT"
    )
    every: int = parameter(1, "Only every n-th of those.", kind=count, metavar="N")

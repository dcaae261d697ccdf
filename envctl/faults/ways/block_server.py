"""Keep a service with a single thread busy now and then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import Abode, parameter
from envctl.faults.values import duration
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class BlockServer(OwnWay):
    """Have the server work at one thing for a time, again and again: all clients wait for it, as behind KEYS *.

    Redis: a script that does nothing but ask for INFO. Nothing is refused and nothing lost; whoever has a time
    limit shorter than --busy meets it now and then.

    What gives it the work ends by itself soon after the time.
    """

    name: ClassVar[str] = "block-server"
    summary: ClassVar[str] = "Its one thread is busy now and then: everybody waits."
    lives_in: ClassVar[Abode] = Abode.PROCESS
    instead: ClassVar[str] = "slow-commands or cpu-starve"
    bites_within: ClassVar[float] = 30.0

    busy: float = parameter(0.2, "For how long each time.", kind=duration, metavar="TIME")
    every: float = parameter(1.0, "How long from one time to the next.", kind=duration, metavar="TIME")

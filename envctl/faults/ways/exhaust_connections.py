"""Use up the connections that a service takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import parameter
from envctl.faults.values import count
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class ExhaustConnections(OwnWay):
    """Hold connections until the service takes no more: a new one is refused in its own words, live ones are served.

    Whoever hangs up does not come back in, unless --keep leaves some free. envctl's own way in is the same door: what
    holds the connections can be ended without the service, and ends by itself.
    """

    name: ClassVar[str] = "exhaust-connections"
    summary: ClassVar[str] = "It has as many clients as it takes: new ones are refused."
    instead: ClassVar[str] = "exhaust-descriptors"
    silences: ClassVar[bool] = True
    bites_within: ClassVar[float] = 30.0

    keep: int = parameter(0, "How many new connections are let in before that.", kind=count, metavar="N")

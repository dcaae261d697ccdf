"""End a client's session with ZooKeeper, as when it was not heard of for too long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import parameter
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class ExpireSession(OwnWay):
    """A client's session with ZooKeeper expires: its ephemeral nodes go, and it is told so when it comes back.

    By default it is Kafka's: the broker's registration vanishes, and it registers anew, by a session of a new number.
    """

    name: ClassVar[str] = "expire-session"
    summary: ClassVar[str] = "Expire a client's session; its ephemeral nodes go."
    instead: ClassVar[str] = "expire-session on zookeeper, where the sessions are; or restart"
    momentary: ClassVar[bool] = True
    bites_within: ClassVar[float] = 20.0

    client: str = parameter("", "Whose: the first of its words without it.", metavar="WORD")
    node: str = parameter("", "In place of a client: the ephemeral node that goes with the session.", metavar="PATH")

"""Have a service cut clients whose answers pile up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import parameter
from envctl.faults.values import size
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class CutOutputBuffers(OwnWay):
    """Lower the limit of answers that may wait for a client so far that a slow reader, or a large answer, is cut.

    Redis: the hard limit of `client-output-buffer-limit`, for clients that give commands or for those that have
    subscribed. The client's connection is closed in the midst of an answer, or of a message; the server's log says
    `scheduled to be closed ASAP for overcoming of output buffer limits`. Whoever reads small answers notices nothing.

    The setting is put back to the letter.
    """

    name: ClassVar[str] = "cut-output-buffers"
    summary: ClassVar[str] = "It cuts clients whose answers pile up."
    instead: ClassVar[str] = "kill, pause or restart"
    bites_within: ClassVar[float] = 30.0

    limit: int = parameter(16 << 10, "How much may wait for one client.", kind=size, metavar="SIZE")
    of: str = parameter("", "Which clients; without it normal.")

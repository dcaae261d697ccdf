"""Nobody coordinates consumer groups: nobody can join, commit, or learn where he was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import Abode, parameter
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class LoseCoordinator(OwnWay):
    """Nobody coordinates consumer groups: clients find no coordinator, and commits and heartbeats are refused.

    Topics are served meanwhile. Afterwards the groups are as they were, with their members and committed offsets.
    """

    name: ClassVar[str] = "lose-coordinator"
    summary: ClassVar[str] = "Nobody coordinates consumer groups: no joins, no commits."
    instead: ClassVar[str] = "pause, or stop"
    lives_in: ClassVar[Abode] = Abode.PROCESS

    group: str = parameter("", "The group, with those that share its coordinator; all without it.", metavar="NAME")

"""Let a service say that it is still loading its data, as after a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import Abode
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class Loading(OwnWay):
    """Cut all connections, and answer new ones as a server does that was started and is loading its data.

    Redis: `LOADING Redis is loading the dataset in memory`, to every command that it would not run meanwhile; those
    that it would (AUTH, HELLO, INFO, SUBSCRIBE …) are run. `INFO persistence` says `loading:1`.

    A gate in front of the server says so; the server, and its data, are as they were. When everything of envctl's dies,
    the kernel leads clients to the server again.
    """

    name: ClassVar[str] = "loading"
    summary: ClassVar[str] = "It says that it is loading its data, as after a restart."
    lives_in: ClassVar[Abode] = Abode.PROCESS
    instead: ClassVar[str] = "restart or pause"
    silences: ClassVar[bool] = True
    bites_within: ClassVar[float] = 30.0

"""Keep a transaction open, so that what is deleted meanwhile cannot be cleaned away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import Abode, parameter
from envctl.faults.values import flag
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class HoldVacuum(OwnWay):
    """Keep a transaction open that could still see everything, as a forgotten session does.

    No client sees an error. Rows that are updated or deleted meanwhile stay on the disk and in the indexes: tables
    grow, and what reads them gets slower. VACUUM runs, and removes none of them.

    A session on the server holds the snapshot; it ends by itself soon after the time.
    """

    name: ClassVar[str] = "hold-vacuum"
    summary: ClassVar[str] = "A transaction that does not end keeps VACUUM from removing rows."
    lives_in: ClassVar[Abode] = Abode.PROCESS
    instead: ClassVar[str] = "disk-full or slow-disk"

    writing: bool = parameter(
        default=False, help="It has a transaction number too, as one that has written.", kind=flag
    )

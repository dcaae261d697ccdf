"""Refuse what producers send, for a reason of the broker's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import parameter
from envctl.faults.values import size
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class RejectProduce(OwnWay):
    """The broker refuses what producers send to some topics, or to all; consumers go on.

    It is a setting of each topic, and takes hold of live producers at their next request. Afterwards each topic has
    the value of its own that it had before, or none.
    """

    name: ClassVar[str] = "reject-produce"
    summary: ClassVar[str] = "Refuse what producers send: too large, or too few replicas."
    instead: ClassVar[str] = "revoke-credentials, or disk-full"

    topic: str = parameter("", "The topics, with commas between them; all of the tests' without it.", metavar="NAME")
    reason: str = parameter("", "Why: the first of its words without it.", metavar="WORD")
    limit: int = parameter(0, "Bytes above which a batch is too large; 0 refuses all.", kind=size, metavar="SIZE")

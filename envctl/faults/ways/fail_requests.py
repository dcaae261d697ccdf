"""Let requests fail, all or some: in the words in which a service refuses under trouble of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from envctl.faults.fault import Abode, parameter
from envctl.faults.values import count, duration, size
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class FailRequests(OwnWay):
    """Answer requests in the server's place, with a failure, or break and slow their answers down.

    A gate of envctl's own stands before the server, in its network namespace: what comes from the host and from other
    containers goes through it, and nobody's address changes. Live connections are cut once, so that they come back
    through it. Requests that do not fit, or whose turn it is not, pass as they are.

    The choice is by count, so the same requests fail in every run. When the gate dies, everything passes again within
    about two seconds.
    """

    name: ClassVar[str] = "fail-requests"
    summary: ClassVar[str] = "Its requests fail, all or some: refused, cut, slow or stale."
    lives_in: ClassVar[Abode] = Abode.PROCESS
    instead: ClassVar[str] = "revoke-credentials, slow-commands or pause"
    bites_within: ClassVar[float] = 30.0

    how: str = parameter("", "What becomes of them; the service's first way without it.", metavar="WORD")
    every: int = parameter(1, "Only every n-th of those that fit.", kind=count, metavar="N")
    method: str = parameter(
        "", "Only these: methods of HTTP, or read, write, list, multipart; with commas.", metavar="WORDS"
    )
    bucket: str = parameter("", "Only requests to this bucket, or to those that fit a glob.", metavar="GLOB")
    key: str = parameter("", "Only requests to keys that fit this glob.", metavar="GLOB")
    after: int | Literal[""] = parameter(
        "", "How much of the body comes before it breaks; half without it.", kind=size, metavar="SIZE"
    )
    rate: int | Literal[""] = parameter(
        "", "Bytes in a second of a slow body; 64 KiB without it.", kind=size, metavar="SIZE"
    )
    delay: float | Literal[""] = parameter(
        "", "How long the answer to one that fails is held back.", kind=duration, metavar="TIME"
    )

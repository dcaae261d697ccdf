"""Interrupt what clients run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from envctl.faults.fault import Abode, parameter
from envctl.faults.values import count, duration
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class InterruptJob(OwnWay):
    """Interrupt the operations that clients run, each when it has run for some time, for as long as it is in force.

    Spark Connect: the client gets the server's own error, `OPERATION_CANCELED` (or `SPARK_JOB_CANCELLED`), and does not
    try again by itself; its session, with its temporary views, goes on. Calls that execute nothing (schema, explain,
    settings) are not touched. An operation that ends within 10 ms may slip through.
    """

    name: ClassVar[str] = "interrupt-job"
    summary: ClassVar[str] = "Interrupt the jobs that clients run."
    instead: ClassVar[str] = "kill, or slow-commands where it has that"
    lives_in: ClassVar[Abode] = Abode.PROCESS
    bites_within: ClassVar[float] = 60.0

    how: str = parameter("", "As what; without it operation.")
    after: float = parameter(0.0, "How long an operation runs before it is interrupted.", kind=duration)
    count: int | Literal[""] = parameter("", "At most so many; without it all.", kind=count)
    user: str = parameter("", "Only operations of who calls itself so.", metavar="NAME")
    session: str = parameter("", "Only operations of the session with this id.", metavar="ID")
    tag: str = parameter("", "Only operations with this tag (`session.addTag`).")

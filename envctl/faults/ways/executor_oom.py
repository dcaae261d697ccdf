"""Leave an executor hardly any heap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from envctl.faults.fault import Abode, parameter
from envctl.faults.values import size
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class ExecutorOom(OwnWay):
    """Take the heap of the executor but so much: a job that needs more really runs out of memory.

    Spark in local mode: the executor is the server. Small queries are answered. A task that needs more gets
    `java.lang.OutOfMemoryError: Java heap space`; its client is told so, or loses its connection, for Spark ends a
    process in which that happens, with exit code 52: all sessions are gone with it. Healing gives the heap back, and
    starts a server that has ended.

    It is the heap that is full, not the container's memory: for that use `memory-pressure` or `oom-kill`.
    """

    name: ClassVar[str] = "executor-oom"
    summary: ClassVar[str] = "Leave it so little heap that jobs run out of memory."
    instead: ClassVar[str] = "oom-kill or memory-pressure"
    lives_in: ClassVar[Abode] = Abode.PROCESS
    bites_within: ClassVar[float] = 60.0
    heals_within: ClassVar[float] = 180.0

    leave: int = parameter(64 << 20, "How much of the heap is left.", kind=size, metavar="SIZE")

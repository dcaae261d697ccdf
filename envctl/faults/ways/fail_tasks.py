"""Fail the tasks of a service's jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from envctl.faults.fault import Abode, parameter
from envctl.faults.values import count
from envctl.faults.ways.way import OwnWay


@dataclass(frozen=True)
class FailTasks(OwnWay):
    """Fail tasks of the jobs that run, in the task's own thread, for as long as it is in force.

    Spark: `error` throws before the task's first row, `late` after its last one. In local mode Spark gives a task one
    attempt, so the job fails with it: the client gets `Job aborted due to stage failure`. With a master of
    `local[*, 4]` it gets four. `kill` counts as no failure: the attempt is lost and Spark makes another, so that a job
    takes longer and succeeds.
    """

    name: ClassVar[str] = "fail-tasks"
    summary: ClassVar[str] = "Fail tasks of the jobs that run, or kill their attempts."
    instead: ClassVar[str] = "kill, kill-mid-transaction or restart"
    lives_in: ClassVar[Abode] = Abode.PROCESS
    bites_within: ClassVar[float] = 60.0

    how: str = parameter("", "In which way; without it error.")
    every: int = parameter(1, "Every so manieth task, as they start.", kind=count)
    attempts: int = parameter(1, "Of a task that Spark tries again, its first so many attempts.", kind=count)
    count: int | Literal[""] = parameter("", "At most so many; without it all.", kind=count)
    user: str = parameter("", "Only tasks of who calls itself so.", metavar="NAME")
    session: str = parameter("", "Only tasks of the session with this id.", metavar="ID")

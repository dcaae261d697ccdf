"""Jobs side by side: a bound, an order, and one end for all of them."""

from __future__ import annotations

import contextvars
import queue
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from envctl.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

LAST_WORDS = 15.0
"""Seconds that stopped jobs get to end; their processes get SIGKILL well before."""


class Stop:
    """Says "stop" once, to everything that listens: worker loops ask, processes and connections are ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._enders: list[Callable[[], None]] = []
        self._said = False

    @contextmanager
    def ending(self, ender: Callable[[], None]) -> Iterator[None]:
        """Call `ender` if the stop is said while the block runs."""
        with self._lock:
            self._enders.append(ender)
            late = self._said
        try:
            if late:
                ender()
            yield
        finally:
            with self._lock:
                self._enders.remove(ender)

    def say(self) -> None:
        """Stop now; idempotent."""
        with self._lock:
            enders, self._said = ([] if self._said else list(self._enders)), True
        for ender in enders:
            ender()

    def heed(self) -> None:
        """Raise if the stop was said.

        Raises:
            Interrupted: it was.

        """
        if self._said:
            raise Interrupted("finish what was begun", "it was stopped", "run it again; finished steps are kept")


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """One piece of work. It starts when all of `needs` are done; among those that may start, the heaviest first."""

    name: str
    work: Callable[[Stop], T]
    needs: tuple[str, ...] = ()
    weight: float = 0.0


def work_through(jobs: Sequence[Job[T]], workers: int) -> dict[str, T]:
    """Do all jobs, at most `workers` at a time; results by name.

    The first failure, or an interrupt of the calling thread, stops the rest and is raised when they have ended.
    """
    stop, done = Stop(), queue.SimpleQueue[tuple[str, T | None, BaseException | None]]()
    waiting = sorted(jobs, key=lambda job: -_urgency(job, jobs))
    results: dict[str, T | None] = {}
    threads: list[threading.Thread] = []
    try:
        while len(results) < len(jobs):
            ready = [job for job in waiting if all(need in results for need in job.needs)]
            for job in ready[: workers - (len(jobs) - len(waiting) - len(results))]:
                waiting.remove(job)
                threads.append(_start(job, stop, done))
            name, result, error = done.get()
            if error is not None:
                raise error
            results[name] = result
    finally:
        stop.say()
        for thread in threads:
            thread.join(LAST_WORDS)
    return results  # type: ignore[return-value]  # a job without an error has its result


def _urgency(job: Job[T], jobs: Sequence[Job[T]]) -> float:
    """The job's own weight and the heaviest chain of jobs that waits for it."""
    return job.weight + max((_urgency(other, jobs) for other in jobs if job.name in other.needs), default=0.0)


def _start(
    job: Job[T], stop: Stop, done: queue.SimpleQueue[tuple[str, T | None, BaseException | None]]
) -> threading.Thread:
    """Run one job in a thread of its own, which hears the caller's context: events go to the caller's listener."""

    def run() -> None:
        try:
            done.put((job.name, job.work(stop), None))
        except BaseException as error:  # noqa: BLE001 - handed to the calling thread, which raises it
            done.put((job.name, None, error))

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name=f"image-{job.name}", daemon=True)
    thread.start()
    return thread

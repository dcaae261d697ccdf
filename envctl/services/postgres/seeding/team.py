"""Several connections that work at the same time; the first failure, or Ctrl-C, ends all of them at once."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from typing import TYPE_CHECKING, Self

from envctl.services.postgres.seeding.connection import connect, sever

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envctl.model import Endpoint
    from envctl.seeding.loading import Job
    from envctl.services.postgres.seeding.connection import Connection

    Task = Callable[[Connection], None]

_LOOK_AROUND = 0.2
"""Seconds between two looks for Ctrl-C while a statement runs."""


class Team:
    """Up to `job.jobs` connections, `first` and others that are opened when they are needed. A context manager."""

    def __init__(self, at: Endpoint, job: Job, first: Connection) -> None:
        self._at, self._job = at, job
        self._idle: list[Connection] = [first]
        self._busy: list[Connection] = []
        self._changed = threading.Condition()
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._idle:
            connection.close()

    @property
    def failed(self) -> bool:
        """Whether a task has failed, so that the others need not go on."""
        return self._error is not None

    def run(self, tasks: Sequence[Task]) -> None:
        """Carry out all tasks, each with a connection of its own while it runs.

        Raises:
            Interrupted: `job.stop` was set.
            Exception: the first that a task raised.

        """
        queue = deque(tasks)
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(self._work, queue), name="seed-postgres")
            for _ in range(min(len(queue), self._job.jobs))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(_LOOK_AROUND)
                if self.failed or self._job.stop.is_set():
                    self._sever()
        self._job.go_on()
        if self._error is not None:
            raise self._error

    def _work(self, queue: deque[Task]) -> None:
        connection = None
        try:
            while not self.failed and not self._job.stop.is_set():
                try:
                    task = queue.popleft()
                except IndexError:
                    break
                connection = connection or self._take()
                task(connection)
        except BaseException as error:  # noqa: BLE001 - raised by the waiting thread
            with self._changed:
                self._error = self._error or error
        if connection:
            self._give(connection)

    def _take(self) -> Connection:
        with self._changed:
            connection = self._idle.pop() if self._idle else None
        connection = connection or connect(self._at)
        with self._changed:
            self._busy.append(connection)
        return connection

    def _give(self, connection: Connection) -> None:
        with self._changed:
            self._busy.remove(connection)
            self._idle.append(connection)

    def _sever(self) -> None:
        with self._changed:
            for connection in self._busy:
                sever(connection)

"""How far each service's load has come, said at most four times a second a service."""

from __future__ import annotations

import contextvars
import threading
import time
from typing import TYPE_CHECKING

from envctl.events import emit

if TYPE_CHECKING:
    from envctl.seeding.loading import Size

EVERY = 0.25
"""Seconds between two events of one service: a bar looks alive, and a log of a long load stays readable."""


class Progress:
    """One service's count of what was loaded; called from any thread, heard by who listens where it began."""

    def __init__(self, service: str) -> None:
        self.rows, self.bytes = 0, 0
        self._service, self._of_rows, self._of_bytes = service, 0, 0
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._began = self._said = time.monotonic()

    def begin(self, whole: Size) -> None:
        """The load of `whole` begins now."""
        self._of_rows, self._of_bytes = whole.rows, whole.bytes
        self._context = contextvars.copy_context()
        self._began = self._said = time.monotonic()

    def __call__(self, rows: int, size: int) -> None:
        """So many rows and bytes more are in the service."""
        with self._lock:
            self.rows, self.bytes = self.rows + rows, self.bytes + size
            now = time.monotonic()
            if now - self._said >= EVERY:
                self._said = now
                self._context.run(self._say, now - self._began)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def _say(self, seconds: float) -> None:
        emit(
            "seed.progress",
            service=self._service,
            rows=self.rows,
            bytes=self.bytes,
            of_rows=self._of_rows,
            of_bytes=self._of_bytes,
            seconds=round(seconds, 3),
        )

"""Listeners that show work while it happens: plain lines, JSON lines, nothing. The live table is in `live.py`.

All are called from several threads at once, and none ever raises: whoever brings services up must not fail because
a reader went away.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, Self

from envctl.cli import output, phrases

if TYPE_CHECKING:
    from types import TracebackType


_EVERY = {"image.pulling": math.inf, "image.building": math.inf, "seed.progress": 5.0}
"""Seconds between two lines of one kind about one subject."""


class View(Protocol):
    """A listener for events that is open for as long as the work goes on."""

    def __call__(self, event: str, data: dict[str, object]) -> None:
        """Show one event."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the screen as the next writer expects it."""


class Silent:
    """Shows nothing (`--quiet`)."""

    def __call__(self, event: str, data: dict[str, object]) -> None:
        """Nothing to show."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""


class JsonLines(Silent):
    """One JSON object per event on stdout (`--json`)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, event: str, data: dict[str, object]) -> None:
        """Write the event. Once the reader has gone, what is written goes nowhere."""
        with self._lock, suppress(output.StdoutClosed):
            output.show_event(event, data)


class Lines(Silent):
    """One line per event: seconds since the start, the service, what happened."""

    def __init__(self, *, details: bool = False) -> None:
        self._details = details
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._said: dict[tuple[str, str], float] = {}

    def __call__(self, event: str, data: dict[str, object]) -> None:
        """Write the event, unless it is a detail or says again what was said."""
        with self._lock, suppress(output.StdoutClosed):
            if self._details or not self._is_detail(event, data):
                elapsed = time.monotonic() - self._start
                output.show(f"{elapsed:6.1f}s  {phrases.subject(data):<13}  {phrases.sentence(event, data)}")

    def _is_detail(self, event: str, data: dict[str, object]) -> bool:
        """Progress within one step (bytes of a pull, steps of a build) is said once, at its beginning; that of a load
        every few seconds, at its beginning not: most are over by then.
        """
        if event not in _EVERY:
            return event in phrases.DETAILS
        said, now = (event, phrases.subject(data)), time.monotonic()
        before = self._said.setdefault(said, now if event == "seed.progress" else -math.inf)
        if now - before < _EVERY[event]:
            return True
        self._said[said] = now
        return False

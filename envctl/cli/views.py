"""Listeners that show work while it happens: plain lines, JSON lines, nothing. The live table is in `live.py`.

All are called from several threads at once, and none ever raises: whoever brings services up must not fail because
a reader went away.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, Self

from envctl.cli import output, phrases

if TYPE_CHECKING:
    from types import TracebackType


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
        self._said: set[tuple[str, str]] = set()

    def __call__(self, event: str, data: dict[str, object]) -> None:
        """Write the event, unless it is a detail or says again what was said."""
        with self._lock, suppress(output.StdoutClosed):
            if self._details or not self._is_detail(event, data):
                elapsed = time.monotonic() - self._start
                output.show(f"{elapsed:6.1f}s  {phrases.subject(data):<13}  {phrases.sentence(event, data)}")

    def _is_detail(self, event: str, data: dict[str, object]) -> bool:
        """Progress within one step (bytes of a pull, steps of a build) is said once, at its beginning."""
        if event not in {"image.pulling", "image.building"}:
            return event in phrases.DETAILS
        said = (event, phrases.subject(data))
        repeated = said in self._said
        self._said.add(said)
        return repeated

"""Signals that end a run: SIGTERM and SIGHUP take the way of Ctrl-C, so that one cleanup serves all."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FORCED = 3
_PATIENCE = b"\nstill cleaning up; Ctrl-C once more stops at once and leaves the rest to `envctl gc`\n"


@contextmanager
def as_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread at the first ending signal; the cleanup then runs undisturbed.

    CI systems send SIGINT and, seconds later, SIGTERM: the second must not break off what the first began. Only the
    third Ctrl-C does. A signal that is ignored already (nohup, a background job of sh) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = _Handler()
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, old in before.items():
        if old is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


class _Handler:
    """Counts the signals of one run."""

    def __init__(self) -> None:
        self.received: list[int] = []

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received.append(number)
        presses = self.received.count(signal.SIGINT)
        if len(self.received) == 1 or presses >= _FORCED:
            raise KeyboardInterrupt(signal.Signals(number).name)
        if number == signal.SIGINT:
            os.write(2, _PATIENCE)  # print is not safe here: the signal may have come in the middle of one

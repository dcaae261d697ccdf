"""Probes that are asked while the steps go on, each in a thread of its own."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Self

from envctl.scenarios.model import Role

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from envctl.scenarios.model import Probe
    from envctl.scenarios.notes import Notes
    from envctl.scenarios.probing import Probing


class Watching:
    """A block in which probes are asked again and again."""

    def __init__(self, probes: Sequence[Probe], probing: Probing, notes: Notes) -> None:
        self._probing, self._notes = probing, notes
        self._over = threading.Event()
        self._threads = [
            threading.Thread(
                target=contextvars.copy_context().run,
                args=(self._watch, probe),
                name=f"watch-{probe.name}",
                daemon=True,
            )
            for probe in probes
        ]

    def __enter__(self) -> Self:
        """Begin; each is asked at once."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; the last answers are waited for, as long as they may take."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _thread(self, probe: Probe) -> threading.Thread:
        run = contextvars.copy_context().run
        return threading.Thread(target=run, args=(self._watch, probe), name=f"watch-{probe.name}", daemon=True)

    def _watch(self, probe: Probe) -> None:
        while not self._over.is_set():
            since = self._notes.hurting()
            answer = self._probing.ask(probe.question)
            self._notes.answered(probe, Role.DURING, answer, since)
            self._over.wait(probe.every)

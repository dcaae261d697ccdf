"""The live table of a terminal: every service's phase and elapsed time while the environment comes up."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from envctl.cli import phrases, seed_view

if TYPE_CHECKING:
    from types import TracebackType

# Enough for a clock with tenths to look alive; each frame costs CPU that the starting services could use.
FRAMES_PER_SECOND = 5

_PHASES = {
    "image.present": "image here",
    "image.waiting": "waiting for images",
    "image.pulling": "pulling",
    "image.pulled": "pulled",
    "image.pull_failed": "pull failed",
    "image.building": "building",
    "image.built": "built",
    "service.recreated": "re-creating",
    "service.started": "starting",
    "service.waiting": "starting",
    "service.ready": "ready",
    "service.failed": "failed",
    "seed.replaced": "clearing",
    "seed.resumed": "seeding",
    "seed.progress": "seeding",
    "seed.loaded": "seeded",
    "seed.skipped": "seeded",
    "seed.verified": "compared",
}
_STYLES = {"ready": "green", "seeded": "green", "failed": "bold red", "pull failed": "yellow"}
_DONE = frozenset({"image.pulled", "image.built"})
_NOTES = frozenset(
    {"port.moved", "fast.enabled", "service.recreated", "image.pull_failed", "seed.replaced", "lock.waiting"}
)
_ENDS = frozenset({"service.ready", "service.failed", "seed.loaded", "seed.skipped", "seed.verified"})
_TOLD = frozenset({"image.pulling", "image.building", "image.waiting", "seed.loaded", "seed.skipped", "seed.verified"})


@dataclass
class _Row:
    """One service: its phase, since when and until when it is under way (monotonic seconds), and a remark."""

    since: float
    phase: str = ""
    until: float | None = None
    remark: str = ""


@dataclass
class LiveTable:
    """A listener that draws. Disappears when all went well (the endpoints follow); stays when it did not."""

    console: Console = field(default_factory=Console)
    rows: dict[str, _Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._live = Live(
            console=self.console, get_renderable=self._draw, refresh_per_second=FRAMES_PER_SECOND, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the table away, or leave it as evidence."""
        self._live.transient = error is None
        self._live.stop()

    def __call__(self, event: str, data: dict[str, object]) -> None:
        """Note the event; the next frame shows it."""
        if event in _NOTES:
            note = f"{phrases.subject(data)}: {phrases.sentence(event, data)}"
            self._live.console.print(note, highlight=False, markup=False)
        phase = _PHASES.get(event)
        with self._lock:
            if event == "seed.started":
                self._look(data)
            elif phase is not None:
                self._note(event, phase, data)

    def _look(self, data: dict[str, Any]) -> None:
        """All services that will be loaded; in an environment that is up nothing else has named them yet."""
        for name in data["services"]:
            self.rows.setdefault(name, _Row(time.monotonic(), "looking"))

    def _note(self, event: str, phase: str, data: dict[str, object]) -> None:
        if event in _DONE and "service" not in data:
            self.rows.pop(phrases.subject(data), None)
            return
        now = time.monotonic()
        if event == "seed.skipped" and phrases.subject(data) not in self.rows:
            return  # a service that this environment does not have
        row = self.rows.setdefault(phrases.subject(data), _Row(now))
        if event.startswith("seed.") and row.until is not None:
            row.since = now  # the time that it took to be ready is over
        row.phase = phase
        row.until = now if event in _ENDS else None
        row.remark = _remark(event, data)

    def _draw(self) -> Table:
        now = time.monotonic()
        table = Table(box=None, pad_edge=False, header_style="bold", show_header=bool(self.rows))
        for heading in ("service", "phase", "time", ""):
            table.add_column(heading, no_wrap=True, justify="right" if heading == "time" else "left")
        with self._lock:
            for name, row in self.rows.items():
                elapsed = f"{(row.until or now) - row.since:.1f}s"
                table.add_row(name, Text(row.phase, _STYLES.get(row.phase, "")), elapsed, Text(row.remark, "dim"))
        return table


def _remark(event: str, data: dict[str, object]) -> str:
    """What stands behind the phase: the address, the last probe's error, the reason of a failure."""
    key = {"service.ready": "address", "service.waiting": "last_error", "service.failed": "reason"}.get(event)
    if key:
        return str(data.get(key) or "")
    if event == "seed.progress":
        return seed_view.bar(data)
    return phrases.sentence(event, data) if event in _TOLD else ""

"""A service of the tests' own that datasets can be loaded into: keeps what it holds in memory, fails as it is told."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envctl.seeding.loading import Size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envctl.model import Endpoint
    from envctl.seeding.loading import Job, Loader, Seedable

CHUNKS = 4
"""Chunks of one share, of a row and ten bytes each."""


@dataclass
class FakeService:
    """Holds chunks of whatever dataset: number to digest. `between` is called before each chunk is stored, with
    its number and the job's stop.
    """

    name: str
    held: dict[int, str] = field(default_factory=dict)
    stranger: bool = False
    between: Callable[[int, threading.Event], object] = lambda _number, _stop: None
    done: list[str] = field(default_factory=list)
    ports: Mapping[str, int] = field(default_factory=dict)
    standard: Mapping[str, int] = field(default_factory=dict)

    def ping(self, at: Endpoint, timeout: float) -> None:
        """It is always there."""

    def loader(self, at: Endpoint, job: Job) -> FakeLoader:
        """One run's loader."""
        assert at.service == self.name
        return FakeLoader(self, job)

    def clear(self, at: Endpoint, footprint: Mapping[str, Any]) -> str:
        """Remove everything, the stranger's too when the footprint names it."""
        assert footprint.get("chunks") == CHUNKS
        assert at.service == self.name
        self.done.append("cleared")
        count = len(self.held)
        self.held.clear()
        self.stranger = False
        return f"{count} chunks"


@dataclass
class FakeLoader:
    """Stores one chunk after the other."""

    service: FakeService
    job: Job

    def size(self) -> Size:
        """All chunks."""
        return Size(CHUNKS, CHUNKS * 10)

    def footprint(self) -> dict[str, Any]:
        """How many chunks there may be."""
        return {"chunks": CHUNKS}

    def conflicts(self) -> list[str]:
        """The stranger."""
        return [f"a stranger sits in {self.service.name}"] if self.service.stranger else []

    def load(self) -> None:
        """Store what is missing."""
        for number in range(CHUNKS):
            if number not in self.service.held:
                self.job.go_on()
                self.service.between(number, self.job.stop)
                self.service.held[number] = self.job.dataset.digest
                self.service.done.append(f"stored {number}")
                self.job.progress(1, 10)

    def present(self) -> bool:
        """Whether the last chunk is there."""
        return CHUNKS - 1 in self.service.held

    def measure(self) -> dict[str, Any]:
        """Each chunk, as it is there."""
        self.service.done.append("measured")
        return {f"chunk {number}": {"rows": 1, "digest": digest} for number, digest in self.service.held.items()}

    def difference(self, recorded: dict[str, Any], measured: dict[str, Any]) -> str:
        """The first chunk that differs."""
        return next(f"{name} differs" for name in recorded if recorded[name] != measured.get(name))


class Gate:
    """Something that happens in one thread and is waited for in another; never for longer than a test may take."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def open(self) -> None:
        """It has happened."""
        self._event.set()

    def passed(self) -> None:
        """Wait until it has."""
        assert self._event.wait(10)


if TYPE_CHECKING:
    _service: type[Seedable] = FakeService
    _loader: type[Loader] = FakeLoader

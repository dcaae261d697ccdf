"""A dataset made ready to be loaded: read, checked, weighed. The imports that cost come with it."""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envctl.catalog import SERVICES
from envctl.errors import SeedFailed, UnknownName
from envctl.model import Endpoint, Identity
from envctl.seeding import room
from envctl.seeding.loading import Job, Seedable, Size
from envctl.seeding.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from envctl.seeder.request import Request
    from envctl.seeding.facts import Facts
    from envctl.seeding.journal import Journal
    from envctl.seeding.spec import Dataset
    from envctl.seeding.world import World

OBJECT_STORE = "minio"
"""The service whose loader makes the bytes of generated objects, and so knows first what tables say about them."""

_ROUGHLY = 200
"""Rows of each relation that say well enough whether a dataset fits the disk."""

JOBS, OBJECT_JOBS = 2, 4
"""Connections or threads a service by default: while one waits for the server, the other makes the next rows. A store
of objects answers only when all of an object is on its disk, so that more of them wait.
"""


@dataclass(frozen=True)
class Plan:
    """A dataset with its world; all that loaders share. `sizes` are those of the shares that were weighed."""

    dataset: Dataset
    world: World
    facts: Facts
    jobs: int | None
    stop: threading.Event = field(default_factory=threading.Event)
    sizes: dict[str, Size] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request, stop: threading.Event) -> Plan:
        """Read and check what was asked for.

        Raises:
            UnknownName: no dataset of that name.
            ConfigurationError: every problem of its files.

        """
        from envctl.seeding.facts import Facts
        from envctl.seeding.objects import compute
        from envctl.seeding.spec import load
        from envctl.seeding.world import World

        dataset = load(request.dataset, request.scale, folders=request.folders)
        world = World(dataset)
        facts = Facts(compute(world, dataset))
        world.facts = facts.columns
        return cls(dataset, world, facts, request.jobs, stop)

    def job(self, service: str, journal: Journal) -> tuple[Job, Progress]:
        """One service's job, and its progress."""
        progress = Progress(service)
        notes = journal.notes(service)
        jobs = self.jobs or (OBJECT_JOBS if service == OBJECT_STORE else JOBS)
        return Job(self.dataset, self.world, self.facts, notes, progress, jobs, self.stop), progress

    def selected(self, services: Iterable[str]) -> tuple[str, ...]:
        """The services to fill: those named, or all of the dataset's.

        Raises:
            UnknownName: the dataset has nothing for one of them.

        """
        named = tuple(services)
        for name in named:
            if name not in self.dataset.services:
                raise UnknownName(f"service in dataset {self.dataset.name!r}", name, self.dataset.services)
        return named or self.dataset.services

    def weigh(self, journal: Journal, services: Iterable[str]) -> None:
        """Find out how much each of these services gets; asks none of them."""
        with self.speaking():
            for name in services:
                if name in SERVICES and isinstance(service := SERVICES[name], Seedable):
                    self.sizes[name] = service.loader(_anywhere(name), self.job(name, journal)[0]).size()

    def check_room(self, journal: Journal, services: Iterable[str], ground: tuple[Path, int] | None) -> None:
        """Return when there is room on the disk for these services' shares, less what is there or goes before.

        They are reckoned, in milliseconds: a dataset that is far too large would take long to be weighed.

        Raises:
            NoSpace: there is not.

        """
        from envctl.seeding.estimate import sizes

        with self.speaking():
            found = {name: size for name, size in sizes(self.dataset, _ROUGHLY).items() if name in services}
        more, less = {}, {}
        for name, size in found.items():
            page = journal.page(name)
            # What this very dataset has begun to fill has had room, or will say itself that there is none left.
            if page.get("digest") != self.dataset.digest:
                more[name], less[name] = size.bytes, int(page.get("bytes", 0))
        room.check(self.dataset.name, self.dataset.scale, more, room.needed(less), ground)

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Say of a value that cannot be made where it is described.

        Raises:
            SeedFailed: in the place of a `WorldError`.

        """
        from envctl.seeding.world import WorldError

        try:
            yield
        except WorldError as error:
            wanted = f"values for {error.relation}.{error.column}"
            raise SeedFailed(wanted, error.why, f"mend the expression in {self.dataset.file}") from error

    @property
    def made(self) -> list[str]:
        """The relations whose rows are generated objects."""
        return [objects.relation for bucket in self.dataset.buckets.values() for objects in bucket.objects]


def in_background(make: Callable[[], Plan]) -> Future[Plan]:
    """Make a plan while something else goes on: numpy and pyarrow alone cost 0.35 s to import."""
    future: Future[Plan] = Future()

    def work() -> None:
        try:
            future.set_result(make())
        except BaseException as error:  # noqa: BLE001 - handed to whoever wants the plan
            future.set_exception(error)

    threading.Thread(target=contextvars.copy_context().run, args=(work,), name="seed-plan", daemon=True).start()
    return future


def _anywhere(service: str) -> Endpoint:
    """An address to weigh a share with, before there is a container: nobody is asked anything there."""
    nobody = Identity("", "")
    return Endpoint(service, "127.0.0.1", dict(SERVICES[service].standard), nobody, nobody)

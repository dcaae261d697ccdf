"""One `seed` of one environment: a thread for each service, all of them under the environment's lock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from envctl.engine import ground
from envctl.errors import SeedFailed
from envctl.events import emit
from envctl.model import State
from envctl.reports import SeedReport, SeedShare
from envctl.seeder.plan import OBJECT_STORE, Plan, in_background
from envctl.seeder.request import Request
from envctl.seeding import functions, proof
from envctl.seeding.journal import Journal
from envctl.seeding.loading import Seedable
from envctl.seeding.manifest import FUNCTIONS, LOADED, LOADING
from envctl.seeding.share import Share, Standing
from envctl.seeding.workers import Workers, together
from envctl.waiting import Deadline, in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from envctl.config import Settings
    from envctl.engine.docker_engine import DockerEngine
    from envctl.residents import Residents
    from envctl.state import StateFolder

_SIZES = "sizes"


class Seeder:
    """One run; the caller holds the environment's lock. The steps in their order:

    `prepare` (at once, in the background) → `require` (before anything starts) → `enter` (the containers are there) →
    `begin` for each service that is ready → `finish`; and `abort` when anything fails, here or elsewhere.
    """

    def __init__(self, request: Request, engine: DockerEngine, folder: StateFolder, environment: object) -> None:
        self._request, self._folder, self._environment = request, folder, environment
        self._engine = engine
        self._stop = threading.Event()
        self._shares: dict[str, Share] = {}
        self._absent: tuple[str, ...] = ()
        self._weighed = False
        self._workers: Workers[SeedShare] = Workers(f"dataset {request.dataset!r}", self._stop)
        self._begun: set[str] = set()
        self._clock = Deadline(float("inf"))

    def prepare(self, plan: Callable[[Request, threading.Event], Plan] = Plan.of) -> None:
        """Begin to read the dataset."""
        self._plan = in_background(lambda: plan(self._request, self._stop))

    def require(self, services: Collection[str], *, weigh: bool = True) -> None:
        """Wait for the plan, and refuse what cannot be loaded into an environment with these services.

        Without `weigh`, how much each gets is found out by `look`, while the services answer.

        Raises:
            UsageError: the dataset does not exist, has problems, or lacks a service that was named.
            NoSpace: the disk is too small.
            SeedFailed: the environment has none of the services that the dataset fills.

        """
        self._journal, plan = Journal(self._folder), self._plan.result()
        selected = plan.selected(self._request.services)
        self._absent = tuple(name for name in selected if name not in services)
        there = [name for name in selected if name in services]
        if selected and not there:
            raise SeedFailed(
                f"a service for dataset {plan.dataset.name!r}, which fills {', '.join(selected)}",
                f"this environment has {', '.join(sorted(services))}",
                f"bring one up: `envctl up --service {selected[0]}`",
            )
        plan.check_room(self._journal, there, ground.free(self._engine))
        if weigh:
            plan.weigh(self._journal, there)
            self._weighed = True

    def enter(self, residents: Residents) -> None:
        """Take up the services as they live now; from here on there is no proof that anything is loaded."""
        plan = self._plan.result()
        self._residents = residents
        proof.withdrawn(self._folder)
        selected, services = plan.selected(self._request.services), residents.services
        for name in services:
            if name in selected and isinstance(service := services[name], Seedable):
                self._shares[name] = self._share(name, service, plan)
        if self._weighed:
            self._announce(plan)

    def begin(self, service: str) -> None:
        """Load the share of a service, which is ready, in a thread of its own; nothing for one that has no share."""
        share = self._shares.get(service)
        if share is None or service in self._begun:
            return
        if not self._begun:
            self._clock = Deadline(float("inf"))
        self._begun.add(service)
        self._workers.start(service, lambda: self._work(share))

    def look(self) -> None:
        """Look into all services before anything is loaded into one, so that all that is in the way is named at once.

        Raises:
            SeedConflict: something is.
            SeedFailed: a service is not there, or a value cannot be made.

        """
        plan = self._plan.result()
        for name in self._shares:
            self._require_running(name)
        looks = {name: share.assess for name, share in self._shares.items()}
        found = in_parallel({**looks, _SIZES: lambda: plan.weigh(self._journal, self._shares)})
        if failed := found.pop(_SIZES):
            raise failed
        self._announce(plan)
        if errors := {name: error for name, error in found.items() if error is not None}:
            raise together(f"dataset {self._request.dataset!r}", errors)

    def watch(self, failed: Callable[[BaseException], None]) -> None:
        """Tell of the first failure in the moment when it happens."""
        self._workers.failed = failed

    def finish(self) -> SeedReport:
        """Begin what nobody has begun, wait for all, call the dataset's functions with the environment.

        Raises:
            SeedFailed: something could not be loaded; the next run goes on from there.
            Interrupted: another process wants the environment down.

        """
        for service in self._shares.keys() - self._begun:
            self._require_running(service)
            self.begin(service)
        done = self._workers.wait(self._folder.down_requested)
        plan = self._plan.result()
        called = () if self._request.services else self._call(plan, done)
        if not self._request.services:
            proof.written(self._folder, self._request.wanted(), plan.dataset, self._residents.containers.values())
        ms = round(self._clock.elapsed * 1000)
        emit("seed.finished", dataset=plan.dataset.name, ms=ms)
        ordered = {name: done[name] for name in self._shares}
        return SeedReport(plan.dataset.name, plan.dataset.scale, ms, plan.dataset.digest, ordered, self._absent, called)

    def abort(self) -> None:
        """Let all threads end at their next chunk. What was loaded is gone on from by the next run."""
        self._stop.set()
        self._no_more_facts()
        self._workers.end()

    def _announce(self, plan: Plan) -> None:
        """Tell everybody what is to be loaded, when that is weighed: it must not wait for who makes objects later."""
        for name, share in self._shares.items():
            share.size = plan.sizes[name]
        sizes = {name: {"rows": share.size.rows, "bytes": share.size.bytes} for name, share in self._shares.items()}
        dataset = plan.dataset
        emit("seed.started", dataset=dataset.name, digest=dataset.digest, scale=dataset.scale, services=sizes)
        for name in self._absent:
            emit("seed.skipped", service=name, reason="not in this environment")
        if OBJECT_STORE in self._shares:
            for relation in plan.made:
                plan.facts.expect(relation)

    def _share(self, name: str, service: Seedable, plan: Plan) -> Share:
        job, progress = plan.job(name, self._journal)
        container = self._residents.containers[name].id
        return Share(
            name,
            service,
            self._residents.endpoint(name),
            job,
            progress,
            container,
            self._request.force,
        )

    def _require_running(self, service: str) -> None:
        state = self._residents.containers[service].state
        if state is not State.RUNNING:
            raise SeedFailed(f"{service} running", f"its container is {state}", "start it with `envctl up`")

    def _work(self, share: Share) -> SeedShare:
        try:
            with self._plan.result().speaking():
                share.job.go_on()
                if not share.assessed:
                    share.assess()
                return share.load()
        finally:
            if share.service == OBJECT_STORE:
                self._no_more_facts()

    def _no_more_facts(self) -> None:
        """Nobody makes objects any more: whoever needs to know about one makes it himself."""
        if self._plan.done() and self._plan.exception() is None:
            plan = self._plan.result()
            for relation in plan.made:
                plan.facts.give_up(relation)

    def _call(self, plan: Plan, done: Mapping[str, SeedShare]) -> tuple[str, ...]:
        """Call the functions, unless they were called for the very data that is there."""
        notes, dataset = self._journal.notes(FUNCTIONS), plan.dataset
        if not dataset.functions:
            notes.forget()
            return ()
        untouched = all(share.outcome == Standing.THERE for share in done.values())
        if (
            untouched
            and not self._request.force
            and notes.get("digest") == dataset.digest
            and notes.get("state") == LOADED
        ):
            return ()
        notes.set(digest=dataset.digest, dataset=dataset.name, state=LOADING)
        for function in dataset.functions:
            functions.call(function, self._environment, self._residents.secrets())
        notes.set(state=LOADED)
        return tuple(f"{function.file.name}:{function.name}" for function in dataset.functions)


def seed(
    request: Request,
    engine: DockerEngine,
    folder: StateFolder,
    residents: Residents,
    environment: object,
) -> SeedReport:
    """Load a dataset into an environment that is up, for the holder of its lock.

    Raises:
        EnvctlError: what `Seeder` raises.

    """
    seeder = Seeder(request, engine, folder, environment)
    seeder.prepare()
    try:
        seeder.require(residents.containers, weigh=False)
        seeder.enter(residents)
        seeder.look()
        return seeder.finish()
    except BaseException:
        seeder.abort()
        raise


def seeder_for(settings: Settings, engine: DockerEngine, folder: StateFolder, environment: object) -> Seeder | None:
    """The run for what the settings ask for; None when they name no dataset."""
    request = Request.of(settings)
    return Seeder(request, engine, folder, environment) if request else None

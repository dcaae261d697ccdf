"""One environment: one method per verb, top to bottom."""

from __future__ import annotations

import math
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from envctl import logs
from envctl.attaching import unchanged
from envctl.chaos import healed_on_contact, in_force
from envctl.engine import guardian, relay
from envctl.engine import owner as owners
from envctl.engine.connect import locate
from envctl.engine.docker_engine import DockerEngine
from envctl.errors import LeakFound, NoSuchEnvironment, StateFolderError, UnknownName
from envctl.events import emit
from envctl.handles import Handles
from envctl.protocols import HasShell, HasVariables
from envctl.readiness import Readiness
from envctl.reports import DownReport, Status, UpReport
from envctl.residents import Residents, counted, overall
from envctl.seeder.request import Request, as_configured
from envctl.seeding.journal import Journal
from envctl.seeding.manifest import summary
from envctl.state import StateFolder
from envctl.takedown import take_down
from envctl.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from envctl.config import Settings
    from envctl.model import LogLine
    from envctl.reports import SeedReport, VerifyReport


class Environment(Handles):
    """A named set of services on one engine. Made by `up` and `attach`; safe to use from many threads."""

    def __init__(self, settings: Settings, engine: DockerEngine, report: UpReport | None = None, *, made: bool) -> None:
        self.settings = settings
        self.name = settings.name
        self._engine = engine
        self._folder = StateFolder(settings.name)
        self._report, self._made = report, made

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take down what this `up` made; an environment that was there before stays.

        A leak is raised, but never in the place of the block's own error, which then carries it as a note.
        """
        if not self._made:
            return
        try:
            self.down()
        except LeakFound as leak:
            if error is None:
                raise
            error.add_note(str(leak))

    def report(self) -> UpReport:
        """How `up` went; of an attached environment, that it was attached."""
        return self._report or UpReport(self.name, attached=True, ms=0)

    def wait(self, services: Sequence[str] = (), timeout: float | None = None) -> dict[str, int]:
        """Wait until the services (all, without names) are truly ready again; ms by service.

        Raises:
            ServiceFailed: one died meanwhile.
            NotReadyInTime: `timeout` seconds (by default the configured ones) passed.

        """
        residents = self._residents(services)
        readiness = Readiness(
            self._engine, self.name, residents.targets(services), residents.secrets(), self._folder.down_requested
        )
        answers = readiness.wait(Deadline(timeout if timeout is not None else self.settings.timeout))
        self._note_proven(answers)
        return {name: round(answer.seconds * 1000) for name, answer in answers.items()}

    def status(self) -> Status:
        """Every service with its state, address, image and the time it took to be ready."""
        residents, pins = self._residents(), self._folder.load()
        services = residents.statuses(pins)
        state = overall(services[container.service].state for container in counted(residents.containers.values()))
        known = summary(Journal(self._folder)), in_force(self._folder)
        return Status(self.name, state, tuple(pins.profiles), services, *known)

    def seed(
        self,
        dataset: str | Path,
        *,
        scale: float = 1.0,
        services: Sequence[str] = (),
        jobs: int | None = None,
        force: bool = False,
    ) -> SeedReport:
        """Load a dataset: a name, or the path of a YAML file. Idempotent; a run that was ended is gone on from.

        What another dataset left is removed first. `services` limits it to some; `jobs` is how many connections or
        threads a service may use; `force` loads anew what is there, and removes what belongs to no dataset.

        Raises:
            UsageError: there is no such dataset, or it has problems: all of them are named.
            SeedFailed: a service refused or went away; or `SeedConflict`, `NoSpace`: then nothing was loaded.

        """
        from envctl.seeder.run import seed

        request = Request(str(dataset), scale, tuple(services), jobs, force, self.settings.seeds)
        with self._held():
            return seed(request, self._engine, self._folder, self._residents(services), self)

    def verify_seed(
        self, dataset: str | Path | None = None, *, scale: float = 1.0, services: Sequence[str] = ()
    ) -> VerifyReport:
        """Read back what is in the services and compare it with what was loaded; `dataset` says what that must be.

        Raises:
            DatasetDiffers: with the first difference of each service that has one.
            SeedFailed: nothing was loaded, or a service went away.

        """
        from envctl.seeder.verify import Verification

        seeds = self.settings.seeds
        wanted = None if dataset is None else Request(str(dataset), scale, folders=seeds)
        with self._held():
            return Verification(self._folder, self._residents(services), services, seeds).run(wanted)

    def variables(self) -> dict[str, str]:
        """Connection data under the names that libraries read by themselves, for the app identity."""
        residents = self._residents()
        found = {"ENVCTL_ENV": self.name}
        for name, service in residents.services.items():
            if isinstance(service, HasVariables):
                found |= service.variables(residents.endpoint(name))
        return found

    def secret_variables(self) -> frozenset[str]:
        """Which of `variables` hold secrets."""
        services = self._residents().services.values()
        return frozenset(
            n for service in services if isinstance(service, HasVariables) for n in service.secret_variables()
        )

    def logs(
        self,
        services: Sequence[str] = (),
        *,
        tail: int | None = None,
        since: float | None = None,
        follow: bool = False,
    ) -> Iterator[LogLine]:
        """The services' logs as one, by the engine's clock; `since` is a Unix time in seconds."""
        containers = [c for name, c in self._residents(services).containers.items() if not services or name in services]
        read = logs.following if follow else logs.merged
        yield from read(self._engine, containers, tail, since)

    def exec_argv(self, service: str, command: Sequence[str], *, interactive: bool = False) -> list[str]:
        """The docker command line that runs `command` in the service's container."""
        return self._exec(service, command, (), interactive=interactive)

    def shell_argv(self, service: str, *, interactive: bool = True) -> tuple[list[str], dict[str, str]]:
        """The docker command line of the service's own client, and the variables (credentials) to run it with."""
        residents = self._residents([service])
        known = residents.services[service]
        if not isinstance(known, HasShell):
            return self._exec(service, ["sh"], (), interactive=interactive), {}
        command, variables = known.shell(residents.endpoint(service))
        return self._exec(service, command, tuple(variables), interactive=interactive), dict(variables)

    def down(self, *, check: bool = True, grace: float = 0.0) -> DownReport:
        """Take the environment down and prove it gone. Idempotent.

        Raises:
            LeakFound: something is still there; each is named with the reason.

        """
        report = take_down(self._engine, self.name, check=check, grace=grace)
        if report.leaks:
            advice = "remove what holds it, then run `down` again"
            raise LeakFound(f"environment {self.name!r} gone", report.leaks, advice)
        return report

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the environment for this process alone."""
        self._residents()
        self._folder.create()
        with self._folder.locked(self.settings.timeout):
            self._folder.clear_request()
            yield

    def _residents(self, needed: Sequence[str] = ()) -> Residents:
        """The environment as it is now.

        Raises:
            NoSuchEnvironment: nothing is there.
            UnknownName: one of the needed services is not there.

        """
        healed_on_contact(self._engine, self._folder, self.settings)
        containers = self._engine.containers(self.name)
        if not containers:
            raise _absent(self._engine, self.name)
        pins = self._folder.load()
        residents = Residents(self._engine, pins, containers)
        if residents.recover_secrets() and self._folder.path.is_dir():
            self._folder.save(pins)
        if missing := [name for name in needed if name not in residents.containers]:
            raise UnknownName(f"service of environment {self.name!r}", missing[0], residents.containers)
        self._folder.touch()
        return residents

    def _note_proven(self, services: Collection[str]) -> None:
        """Remember these starts as proven ready, for `status` and for the next `up`."""
        proven = {c.id: c.started_at for c in self._engine.containers(self.name) if c.service in services}
        # Who may only look may wait too: where nothing can be written, `status` goes on saying `running`.
        with suppress(StateFolderError):
            pins = self._folder.load()
            if pins.ready and not proven.items() <= pins.ready.items():
                pins.ready |= proven
                self._folder.save(pins)

    def _exec(self, service: str, command: Sequence[str], variables: Sequence[str], *, interactive: bool) -> list[str]:
        container, address = self._residents([service]).containers[service], self._engine.address
        at = [] if address.chosen else ["--host", address.url]
        # `-e NAME` without a value takes it from the docker CLI's own environment: it is in no argument list.
        passed = [word for name in variables for word in ("-e", name)]
        return ["docker", *at, "exec", *(["-it"] if interactive else ["-i"]), *passed, container.id, *command]


def up(
    settings: Settings, *, recreate: bool = False, keep_on_failure: bool = False, owner: str = owners.USER
) -> Environment:
    """Bring an environment up until every service is truly ready, or attach to one that is, unchanged.

    What this call made is taken down again when it fails or is interrupted, unless `keep_on_failure`; an
    environment that was there before is left as it is.
    """
    engine, folder, clock = DockerEngine(locate()), StateFolder(settings.name), Deadline(math.inf)
    folder.create()
    environment, made = Environment(settings, engine, made=False), False
    with folder.locked(settings.timeout):
        folder.clear_request()
        healed_on_contact(engine, folder, settings, unheld=True)
        containers = engine.containers(settings.name)
        whole = not recreate and relay.stands(engine, settings.name, containers)
        if whole and unchanged(settings, folder.load(), containers):
            report = UpReport(settings.name, attached=True, ms=round(clock.elapsed * 1000))
            emit("environment.attached", environment=settings.name, ms=report.ms)
            report = replace(report, seed=as_configured(settings, engine, folder, containers, environment))
        else:
            # Attaching and every other verb live without it, and it costs as much to import as they take.
            from envctl.bringup import bring_up
            from envctl.seeder.run import seeder_for

            seeder = seeder_for(settings, engine, folder, environment)
            report, made = bring_up(settings, engine, folder, owner, seeder, recreate=recreate, keep=keep_on_failure)
        folder.touch()
        if settings.ttl is not None:
            _arm_ttl(folder, settings.ttl)
    return Environment(settings, engine, report, made=made)


def attach(settings: Settings) -> Environment:
    """An environment that is already there.

    Raises:
        NoSuchEnvironment: nothing of that name is.

    """
    engine = DockerEngine(locate())
    if not engine.containers(settings.name):
        raise _absent(engine, settings.name)
    return Environment(settings, engine, made=False)


def _arm_ttl(folder: StateFolder, ttl: float) -> None:
    folder.save(replace(folder.load(), ttl=ttl))
    if not guardian.running(folder.name, (guardian.MODULE,)):
        guardian.start(folder.name)


def _absent(engine: DockerEngine, name: str) -> NoSuchEnvironment:
    there = sorted({container.environment for container in engine.containers()})
    found = f"on this engine: {', '.join(there)}" if there else "no environment is on this engine"
    advice = f"make it with `envctl --env {name} up`, or name another with --env"
    return NoSuchEnvironment(f"environment {name!r}", found, advice)

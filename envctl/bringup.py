"""Bringing an environment up: look, choose images and ports, render, start, wait. One procedure, top to bottom."""

from __future__ import annotations

import datetime as dt
import json
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from envctl.attaching import digest
from envctl.catalog import SERVICES
from envctl.config import bundle_root
from envctl.engine import guardian, project
from envctl.engine import owner as owners
from envctl.engine.compose import Compose, PortLost, Rendering, end_orphans, quoted
from envctl.engine.images import resolve
from envctl.engine.relay import Relay
from envctl.errors import StateFolderError
from envctl.events import emit
from envctl.images import workshop
from envctl.model import OWNER_LABEL, State
from envctl.pinning import Pinning
from envctl.protocols import HasOptions
from envctl.readiness import Readiness, not_started
from envctl.reports import Phase, UpReport
from envctl.residents import Residents, secret_variables
from envctl.seeding.journal import FILE as SEED_JOURNAL
from envctl.selection import DEFAULT_PROFILES, check_names, check_services, select
from envctl.takedown import remove
from envctl.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.config import Settings
    from envctl.engine.docker_engine import DockerEngine
    from envctl.engine.project import Model
    from envctl.model import Container
    from envctl.readiness import Answer
    from envctl.seeder.run import Seeder
    from envctl.state import Pins, StateFolder

_PORT_TRIES = 5
"""How often a port lost between choice and start is chosen anew; eight environments at once need two."""


class Bringup:
    """One `up` of one environment; the caller holds its lock."""

    def __init__(
        self, settings: Settings, engine: DockerEngine, folder: StateFolder, owner: str, seeder: Seeder | None = None
    ) -> None:
        self.settings, self.engine, self.folder, self.owner, self.seeder = settings, engine, folder, owner, seeder
        self.clock = Deadline(math.inf)
        self.pins: Pins = folder.load()
        if self.pins.starting:
            # An `up` that was killed: its compose may still be at work.
            end_orphans(self._project)
        self.before = {container.service: container for container in engine.containers(settings.name)}
        self.profiles = settings.profiles or (() if settings.services else DEFAULT_PROFILES)
        self.compose = Compose(engine.address)
        self.relay = Relay(engine, settings.name, self.before, wanted=settings.relay)
        self.pinning = Pinning(settings, engine, folder, self.pins, self.before, self.relay.held)

    def run(self, *, recreate: bool = False) -> UpReport:
        """Bring up what is missing or changed, and wait until all of it is ready; each is seeded from then on."""
        if self.seeder:
            self.seeder.prepare()
        if not self.settings.files:
            check_names(self.profiles, self.settings.services)
        self._find_secrets()
        model = self._model()
        if self.seeder:
            self.seeder.require({*model["services"], *self.before})
        self._choose_images(model)
        images_ms = self._ms()
        # That may have taken minutes, longer than `down` waits for an `up` to notice it.
        self.folder.require_wanted()
        # Making images may take minutes and says so itself: the deadline is the services'.
        began, deadline = time.time(), Deadline(self.settings.timeout)
        recreated = self._start(model, deadline, recreate=recreate)
        residents = self._living(model)
        answers = self._wait(residents, deadline)
        self._remember(answers)
        emit("environment.up", environment=self.settings.name, ms=self._ms())
        return UpReport(
            self.settings.name,
            attached=False,
            ms=self._ms(),
            images_ms=images_ms,
            services={name: _phase(residents.containers[name], answer, began) for name, answer in answers.items()},
            recreated=recreated,
        )

    def _find_secrets(self) -> None:
        """Passwords that this machine has lost are in the containers; where those are gone too, data is locked up.

        Raises:
            StateFolderError: volumes are left whose passwords nobody knows any more.

        """
        Residents(self.engine, self.pins, tuple(self.before.values())).recover_secrets()
        left = [r.name for r in self.engine.resources(self.settings.name) if r.kind == "volume"]
        if left and not self.before and not self.pins.secrets:
            raise StateFolderError(
                f"the passwords of environment {self.settings.name!r}",
                f"its volumes are there ({', '.join(left)}), but neither {self.folder.path} nor a container has them",
                f"remove the data with `envctl --env {self.settings.name} down`, then run `up` again",
            )
        if not left and not self.before:
            # What was loaded once went with the volumes, by whatever hand.
            (self.folder.path / SEED_JOURNAL).unlink(missing_ok=True)

    def _model(self) -> Model:
        """The compose model of what was asked for, with options applied."""
        compose = bundle_root() / "compose"
        files, defaults, own = [compose / "compose.yaml"], [compose / ".env"], self.settings.files
        if own:
            # One model of all files, so that a file of the user's can change our services; paths are relative to it.
            files = [*sorted(compose.glob("services/*.yaml")), *own]
            defaults += [path for path in (own[0].parent / ".env",) if path.exists()]
        rendering = Rendering(self._project, files, ["*"], defaults, own[0].parent if own else None)
        model = self.compose.render(rendering)
        select(model, self.profiles, self.settings.services)
        check_services(model)
        for name, service in model["services"].items():
            self._apply_options(name, service)
        return model

    def _apply_options(self, name: str, service: Model) -> None:
        known, override = SERVICES.get(name), self.settings.overrides.get(name)
        if known is not None and isinstance(known, HasOptions):
            if self.settings.fast and known.fast:
                known.apply_options(service, known.fast)
                emit("fast.enabled", service=name, cost=known.fast_cost)
            if override and override.options:
                known.apply_options(service, override.options)

    def _choose_images(self, model: Model) -> None:
        """Have every image, and name it in the model; the user's own build sections are compose's to build."""
        overrides = {
            name: o.image for name, o in self.settings.overrides.items() if o.image and name in model["services"]
        }
        users = {
            name: service["image"]
            for name, service in model["services"].items()
            if name not in SERVICES and service.get("image") and not service.get("build")
        }
        names = [name for name in model["services"] if name in SERVICES or name in users]
        shop = workshop(self.settings, self.engine)
        for image in resolve(shop, names, self.settings.images, {**users, **overrides}):
            model["services"][image.service]["image"] = image.reference
            self.pins.origins[image.service] = str(image)
        self.relay.prepare(model, shop)

    def _start(self, model: Model, deadline: Deadline, *, recreate: bool) -> dict[str, list[str]]:
        """Pin ports, label, and let compose make what is missing or changed; what was made anew, and why."""
        avoid: set[int] = set()
        lost: PortLost | None = None
        if self.pins.starting or not self.before:
            # Half an environment whose maker died is the dead's; one that was whole before stays a user's.
            self.pins.starting = owners.this_process()
        for name in model["services"]:
            if name in self.before and self.before[name].state is State.PAUSED:
                # Compose cannot start a paused container.
                self.engine.unpause(self.before[name])
        for _ in range(_PORT_TRIES):
            self.pinning.pin(model, avoid)
            self.relay.note(model)
            project.label(model, self.settings.name, self._owner_before() or self.owner)
            changed = self._changes(model)
            try:
                self._compose_up(self.relay.through(model), deadline, recreate=recreate)
            except PortLost as error:
                lost = error
                avoid.add(error.port)
                continue
            return changed
        raise lost or AssertionError("the loop ends with a port lost or a return")

    def _compose_up(self, model: Model, deadline: Deadline, *, recreate: bool) -> None:
        secrets, services = secret_variables(self.pins), model["services"]
        # A build of the user's takes as long as it takes.
        left = None if any(one.get("build") for one in services.values()) else deadline.left
        # Before a volume holds data behind them: whatever dies now, the passwords are known.
        self.folder.save(self.pins)
        file = self.folder.write("compose.json", json.dumps(model))
        variables = self.folder.write("compose.env", "".join(f"{k}={quoted(v)}\n" for k, v in secrets.items()))
        try:
            self.compose.up(
                Rendering(self._project, [file], [], [variables]), secrets.values(), left, recreate=recreate
            )
        except TimeoutError as error:
            raise not_started(self.engine, self.settings.name, services, deadline.seconds) from error
        finally:
            variables.unlink()
            file.unlink()

    def _changes(self, model: Model) -> dict[str, list[str]]:
        """Which services will be made anew because they differ from their containers, and how."""
        found = {}
        for name, service in model["services"].items():
            if name in self.before and (changes := project.differences(self.before[name].labels, service)):
                found[name] = changes
                emit("service.recreated", service=name, differences=changes)
        return found

    def _living(self, model: Model) -> Residents:
        containers = [c for c in self.engine.containers(self.settings.name) if c.service in model["services"]]
        for container in containers:
            emit("service.started", service=container.service, image=container.image)
        return Residents(self.engine, self.pins, containers)

    def _wait(self, residents: Residents, deadline: Deadline) -> dict[str, Answer]:
        answered = self.seeder.begin if self.seeder else lambda _: None
        known = (self.engine, self.settings.name, residents.targets(), residents.secrets())
        readiness = Readiness(*known, self.folder.down_requested, answered)
        if self.seeder:
            self.seeder.watch(readiness.fail)
            # With what an earlier `up` brought: that is seeded too.
            self.seeder.enter(Residents(self.engine, self.pins, self.engine.containers(self.settings.name)))
        return readiness.wait(deadline)

    def _remember(self, answers: Mapping[str, Answer]) -> None:
        """Write down what was proven, of which start of which container; what an earlier `up` proved stays so."""
        now, earlier = self.engine.containers(self.settings.name), self.pins.ready
        proven = (c for c in now if c.service in answers or earlier.get(c.id) == c.started_at)
        self.pins.ready = {c.id: c.started_at for c in proven}
        self.pins.ready_ms |= {name: round(answer.seconds * 1000) for name, answer in answers.items()}
        self.pins.profiles = sorted({*self.pins.profiles, *self.profiles})
        self.pins.digest, self.pins.starting = digest(self.settings), ""
        self.folder.save(self.pins)

    def _owner_before(self) -> str:
        """The owner of what is already there: an `up` by somebody else does not change it."""
        return next((c.labels.get(OWNER_LABEL, "") for c in self.before.values()), "")

    def _ms(self) -> int:
        return round(self.clock.elapsed * 1000)

    @property
    def _project(self) -> str:
        return project.name_of(self.settings.name)


def bring_up(
    settings: Settings,
    engine: DockerEngine,
    folder: StateFolder,
    owner: str,
    seeder: Seeder | None = None,
    *,
    recreate: bool,
    keep: bool,
) -> tuple[UpReport, bool]:
    """The whole procedure, for the holder of the environment's lock; the report, and whether it made the environment.

    What it made is taken down again when it fails, unless `keep`; what was there before is left as it is.
    """
    engine.address.require_here()
    made = False
    try:
        bringup = Bringup(settings, engine, folder, owner, seeder)
        made = not bringup.before
        if made and owner != owners.USER:
            guardian.start(settings.name, owner)
        report = bringup.run(recreate=recreate)
        return (replace(report, seed=seeder.finish()) if seeder else report), made
    except BaseException:
        if seeder:
            seeder.abort()
        if made and not keep:
            _undo(engine, folder)
        else:
            _leave(folder)
        raise


def _undo(engine: DockerEngine, folder: StateFolder) -> None:
    """Remove what a failed `up` made. The failure is what is raised; what could not be removed is said."""
    _, leaks = remove(engine, folder, 0.0)
    for leak in leaks:
        emit("leak.found", kind=leak.kind, where=leak.where, what=leak.what, reason=leak.reason)


def _leave(folder: StateFolder) -> None:
    """After a failed `up` that leaves what is there: on purpose, so that its process's end proves nothing to `gc`."""
    pins = folder.load()
    if pins.starting:
        pins.starting = ""
        folder.save(pins)


def _phase(container: Container, answer: Answer, began: float) -> Phase:
    """A service's cost; one that ran before this `up` began (Unix time) counts as started at its beginning."""
    started = dt.datetime.fromisoformat(container.started_at).timestamp() - began
    return Phase(max(0, round(started * 1000)), round(answer.seconds * 1000), answer.attempts)

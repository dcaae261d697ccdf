"""Loads of real services, killed anywhere: the next one goes on, and ends where an undisturbed one does."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenarios.seed_everything import SERVICES, seen, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.scenarios.program import Program, Said
    from tests.scenarios.scene import Scene

SEED = 20261122
"""Decides the moments of kills; change it to try others."""

KILLS = 30
TRIES = 10
"""Attempts to meet a load at work, when the machine is now faster and now slower than it was."""

UP = ("up", *(word for service in SERVICES for word in ("--service", service)))
FUNCTIONS = "python functions"


@dataclass(frozen=True)
class Whole:
    """An undisturbed load in the place of the other dataset: how long it took, and what it left."""

    seconds: float
    manifest: Any
    seen: Any


class Rig:
    """One environment, two datasets that take each other's place, and what kills have met."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.datasets = (written(scene.folder / "everything"), "small")
        self.met: Counter[tuple[str, str]] = Counter()
        """How often a kill met a service in a state of its load."""
        scene.envctl(*UP)
        first = self._whole(self.datasets[0])
        self.wholes = {dataset: self._whole(dataset) for dataset in reversed(self.datasets)}
        again = self.wholes[self.datasets[0]]
        assert (again.manifest, again.seen) == (first.manifest, first.seen)

    def _whole(self, dataset: str) -> Whole:
        events = self.load(dataset).events
        ms = next(event["ms"] for event in events if event["event"] == "seed.finished")
        return Whole(ms / 1000, *self.found())

    def load(self, dataset: str, *options: str) -> Said:
        """Load it to the end."""
        said = self.scene.envctl("seed", dataset, "--json", *options)
        self.there = dataset
        return said

    def found(self) -> tuple[Any, Any]:
        """What was read back from the services for the journal, and what a stranger sees in them."""
        manifest = {service: page["manifest"] for service, page in self.pages().items() if service != FUNCTIONS}
        return manifest, seen(self.scene.envctl("env", "--format", "json").document)

    def is_whole(self, dataset: str) -> None:
        """All is as an undisturbed load leaves it."""
        manifest, found = self.found()
        assert manifest == self.wholes[dataset].manifest
        assert found == self.wholes[dataset].seen

    def pages(self) -> Any:  # noqa: ANN401 - JSON
        """The journal."""
        return json.loads((self.scene.state / "envctl" / self.scene.name / "seed.json").read_text())

    def states(self, dataset: str) -> dict[str, str]:
        """How far each service's load is, by the journal."""
        pages, name = self.pages(), dataset.rpartition("/")[2].removesuffix(".yaml")
        gone = {"dataset": name, "state": "removed"}
        here = {service: pages.get(service, gone) for service in SERVICES}
        return {
            service: "untouched" if page["dataset"] != name and page["state"] == "loaded" else page["state"]
            for service, page in here.items()
        }

    def begun(self, dataset: str) -> Program:
        """A load that takes the place of the other dataset, in the moment when it knows what to do."""
        other = self.datasets[self.datasets[0] == dataset]
        if self.there != other:
            self.load(other)
        program = self.scene.start("seed", dataset, "--json")
        self.there = ""
        self.scene.hears(program, '"seed.started"')
        return program

    def killed(self, dataset: str, number: int) -> dict[str, str]:
        """Kill a load at a random moment of a part of its time; the states in which that left the services."""
        dice = random.Random(f"{SEED} {number}")  # noqa: S311 - repeatable on purpose
        moment = (number // 2 + dice.random()) / (KILLS / 2) * self.wholes[dataset].seconds
        early, late = 0.0, 2 * self.wholes[dataset].seconds
        for _ in range(TRIES):
            self.scene.step(f"`seed {dataset}` is killed {moment:.2f} s after its beginning")
            program = self.begun(dataset)
            program.lasts(moment)
            program.kill()
            states = self.states(dataset)
            self.scene.step(f"that left {states}")
            if {*states.values()} not in ({"untouched"}, {"loaded"}):
                self.met.update(states.items())
                return states
            # The machine is now faster and now slower than it was: closer to where it is at work.
            if {*states.values()} == {"loaded"}:
                late = moment
            else:
                early = moment
            moment = dice.uniform(early, late)
        pytest.fail(f"no kill met a load at work in {TRIES} attempts")

    def aimed(self, dataset: str, state: str, service: str = "") -> None:
        """Kill a load in the moment when the journal has a service (any, without a name) in a state, however short."""

        def met() -> bool:
            states = self.states(dataset)
            return state in ([states[service]] if service else states.values())

        for _ in range(TRIES):
            program = self.begun(dataset)
            while program.lasts(0.001) and not met():
                pass
            program.kill()
            if met():
                self.met.update(self.states(dataset).items())
                return
        pytest.fail(f"no kill met {service or 'a service'} {state} in {TRIES} attempts")

    def without(self, service: str, dataset: str) -> Said:
        """What a load says whose service is killed when a part is in it."""

        def look(program: Program) -> None:
            lines = [line for line in program.said()[0].splitlines() if f'"service": "{service}"' in line]
            assert any('"seed.progress"' in line or '"seed.loaded"' in line for line in lines)

        for _ in range(TRIES):
            program = self.begun(dataset)
            self.scene.eventually(partial(look, program))
            self.scene.containers()[service].kill()
            said = program.finish(exits=None)
            if said.code:
                assert said.code == 1
                return said
            self.scene.envctl(*UP)
            self.there = dataset
        pytest.fail(f"{service} was whole before it could be killed in {TRIES} attempts")


@pytest.fixture(scope="module")
def rig(new_scene: Callable[[], AbstractContextManager[Scene]]) -> Iterator[Rig]:
    """For all tests; each begins with the dataset that the one before left."""
    with new_scene() as scene:
        yield Rig(scene)


@pytest.mark.parametrize("number", range(KILLS), ids=lambda number: f"seed-{SEED}-kill-{number}")
def test_a_killed_load_is_gone_on_with_and_ends_as_an_undisturbed_one(rig: Rig, number: int) -> None:
    """What was whole is left alone, what was half done is gone on with, what was not begun is begun."""
    dataset = rig.datasets[number % 2]
    states = rig.killed(dataset, number)
    done = rig.load(dataset).events[-1]["services"]
    outcomes = {"loaded": "there", "loading": "resumed", "removed": "loaded"}
    assert {s: done[s]["outcome"] for s in SERVICES} == {s: outcomes.get(states[s], "replaced") for s in SERVICES}
    rig.is_whole(dataset)


def test_kills_met_every_service_at_work(rig: Rig) -> None:
    """Else the test before would say less than it seems to."""
    if rig.met.total() < KILLS * len(SERVICES):
        pytest.skip("tells something of all kills together")
    aims = [("loading", service) for service in SERVICES if not rig.met[service, "loading"]]
    aims += [(state, "") for state in ("clearing", "loaded") if not any(rig.met[s, state] for s in SERVICES)]
    for state, service in aims:
        # Random moments miss what is short: that is aimed at.
        rig.aimed(rig.datasets[0], state, service)
        rig.load(rig.datasets[0])
        rig.is_whole(rig.datasets[0])
    met = {state: {service for service in SERVICES if rig.met[service, state]} for _, state in rig.met}
    assert met["loading"] == {*SERVICES}
    assert {"clearing", "loaded"} < {*met}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_killed_in_its_load_is_gone_on_with(rig: Rig, service: str) -> None:
    """`seed` names it; `up` brings it back; the next `seed` ends as an undisturbed one."""
    dataset = rig.datasets[0]
    assert service in rig.without(service, dataset).err.lower()
    rig.scene.envctl(*UP)
    rig.load(dataset)
    rig.is_whole(dataset)


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_any_number_of_connections_leaves_the_same(rig: Rig, jobs: int) -> None:
    """Whoever loads which chunk, and in whatever order."""
    dataset = rig.datasets[0]
    rig.load(dataset, "--jobs", str(jobs), "--force")
    rig.is_whole(dataset)

"""`envctl up` is killed or interrupted at any moment: nothing is lost, nothing stays for ever."""

from __future__ import annotations

import json
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.scenarios.program import Program
    from tests.scenarios.scene import Scene

SEED = 20260721
"""Decides the moments; change it to try others."""

PARTS = 4
UP = ("up", "--service", "redis")

WAYS = pytest.mark.parametrize("part", range(PARTS))


@pytest.fixture(scope="module")
def seconds(new_scene: Callable[[], AbstractContextManager[Scene]]) -> float:
    """How long an undisturbed `up` takes here and now."""
    with new_scene() as scene:
        began = time.monotonic()
        scene.envctl(*UP)
        return time.monotonic() - began


def killed(scene: Scene, seconds: float, part: int) -> Program:
    """An `up` that was killed at a random moment of one part of its time; an earlier one where it was done before."""
    moment = seconds * (part + random.Random(f"{SEED} {part}").random()) / PARTS  # noqa: S311 - repeatable on purpose
    scene.step(f"`up` is killed after {moment:.2f} s")
    while True:
        up = scene.start(*UP)
        was_alive = up.lasts(moment)
        up.kill()
        if was_alive and not is_proven(scene):
            return up
        scene.envctl("down")
        moment *= 0.8


def is_proven(scene: Scene) -> bool:
    """Whether an `up` has done its work, though its process may not have ended yet."""
    file = scene.state / "envctl" / scene.name / "environment.json"
    return file.exists() and bool(json.loads(file.read_text())["ready"])


@WAYS
def test_the_next_up_finishes_what_a_killed_one_began(scene: Scene, seconds: float, part: int) -> None:
    """It comes up as if nothing had been, and `down` then leaves nothing."""
    killed(scene, seconds, part)
    scene.envctl(*UP)
    assert scene.envctl("status", "--json").document["state"] == "ready"
    assert [*scene.containers()] == ["redis"]
    scene.envctl("down")
    scene.is_gone()


@WAYS
def test_down_removes_what_a_killed_up_left(scene: Scene, seconds: float, part: int) -> None:
    """At once, and nothing appears afterwards: what was started by the dead one does not go on."""
    killed(scene, seconds, part)
    scene.envctl("down")
    scene.is_gone()
    assert not scene.start("wait", "--timeout", "2").finish(exits=1).out
    scene.is_gone()


@WAYS
def test_gc_proves_and_collects_what_a_killed_up_left(scene: Scene, seconds: float, part: int) -> None:
    """It names the dead process as the proof, and `--dry-run` only names it."""
    up = killed(scene, seconds, part)
    planned = scene.gc("--dry-run")
    before = {resource.id for resource in scene.resources()}
    dead = {one["environment"]: one["reason"] for one in planned["dead"]}
    if scene.resources():
        assert f"process {up.process.pid}" in dead[scene.name]
    assert scene.gc()["dead"] == planned["dead"]
    assert not before & {resource.id for resource in scene.resources()}
    scene.is_clean()


def compose_works(scene: Scene, _up: Program) -> None:
    """The moment in which compose runs for this environment."""

    def look() -> None:
        assert scene.helpers()

    scene.eventually(look)


def services_start(scene: Scene, up: Program) -> None:
    """The moment in which `up` begins to ask the services."""
    scene.hears(up, "service.started")


@pytest.mark.parametrize("everyone", [True, False], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("moment", [compose_works, services_start])
def test_an_interrupted_up_leaves_nothing(
    scene: Scene, moment: Callable[[Scene, Program], None], *, everyone: bool
) -> None:
    """A terminal's Ctrl-C reaches compose too, a CI system's SIGTERM only envctl; both end with 130."""
    up = scene.start("--json", "up", "--service", "postgres", *scene.never_ready())
    moment(scene, up)
    up.signal(signal.SIGINT if everyone else signal.SIGTERM, everyone=everyone)
    result = up.finish(exits=130).events[-1]
    assert (result["event"], result["error"], result["exit_code"]) == ("result", "Interrupted", 130)
    scene.is_gone()


def test_an_interrupted_up_of_an_older_environment_leaves_that(scene: Scene) -> None:
    """What this `up` did not make is not its to remove."""
    scene.envctl(*UP)
    ids = scene.ids()
    scene.configure("services: {redis: {options: {maxmemory: 64mb, port: 1}}}")
    up = scene.start(*UP)
    scene.hears(up, "re-created")
    up.signal(signal.SIGTERM)
    up.finish(exits=130)
    assert scene.ids().keys() == ids.keys()
    scene.envctl("down")


def test_a_failed_up_leaves_nothing_unless_told_to_keep(scene: Scene) -> None:
    """`--keep-on-failure` keeps the culprit for a look at it, also from `gc`; without it, all goes."""
    scene.configure("services: {redis: {options: {no-such-setting: 1}}}")
    assert "no-such-setting" in scene.envctl(*UP, exits=1).err
    scene.is_gone()
    scene.envctl(*UP, "--keep-on-failure", exits=1)
    assert scene.containers()["redis"].status == "exited"
    assert "no-such-setting" in scene.envctl("logs").out
    assert scene.name not in {one["environment"] for one in scene.gc()["dead"]}
    assert scene.containers()["redis"].status == "exited"
    scene.envctl("down")
    scene.is_gone()

"""`--ttl`: an environment that nobody uses goes by itself, whoever made it and whatever became of them."""

from __future__ import annotations

import os
import shlex
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.scenarios.scene import Scene

UP = ("up", "--service", "redis", "--ttl")


def test_an_unused_environment_goes_when_its_time_is_over(scene: Scene) -> None:
    """With its helper and its state."""
    scene.envctl(*UP, "2s")
    assert scene.helpers() != []
    scene.eventually(scene.is_gone)


def test_an_environment_in_use_stays(scene: Scene) -> None:
    """Every look at it counts as use: it outlives its time, then goes."""
    scene.envctl(*UP, "10s")
    ids, began = scene.ids(), time.monotonic()
    # Without a pause: on a busy machine a look may take seconds.
    while time.monotonic() - began < 22:
        assert scene.envctl("status", "--json").document["state"] == "ready"
    assert scene.ids() == ids
    scene.eventually(scene.is_gone)


def test_ls_shows_how_long_it_may_still_live(scene: Scene) -> None:
    """In seconds for programs; an environment without a time to live shows none."""
    scene.envctl(*UP, "1h")
    listed = {one["name"]: one["ttl_left"] for one in scene.envctl("ls", "--json").document["environments"]}
    assert 3000 < listed[scene.name] <= 3600


def test_it_survives_the_death_of_the_shell_that_made_it(scene: Scene) -> None:
    """The shell and all of its processes are killed: the environment lives on, and goes when its time is over."""
    command = shlex.join([*scene.start("version").command[:-1], *UP, "8s"])
    shell = scene.program("sh", "-c", f"{command}; echo made; cat")
    scene.hears(shell, "made")
    os.killpg(shell.process.pid, signal.SIGKILL)
    assert not shell.lasts(30)
    assert scene.containers()["redis"].status == "running"
    assert scene.helpers() != []
    scene.eventually(scene.is_gone)


def test_gc_collects_one_whose_time_is_over_and_whose_helper_died(scene: Scene) -> None:
    """As after a reboot: the proof is how long nobody used it; one whose time is not over is kept."""
    for seconds in (5, 20, 80):
        scene.envctl(*UP, f"{seconds}s")
        for helper in scene.helpers():
            helper.kill()
        kept = {one["environment"]: one["reason"] for one in scene.gc()["kept"]}
        # On a busy machine its time may be over already.
        if scene.name in kept:
            break
    assert "time to live has" in kept[scene.name]

    def is_dead() -> None:
        dead = {one["environment"]: one["reason"] for one in scene.gc("--dry-run")["dead"]}
        assert "unused for" in dead.get(scene.name, "")

    scene.eventually(is_dead)
    assert scene.containers() != {}
    scene.gc()
    scene.is_gone()


def test_an_environment_that_a_user_made_is_never_garbage(scene: Scene) -> None:
    """Without a time to live it stays until `down`, and `gc` says so."""
    scene.envctl("up", "--service", "redis")
    kept = {one["environment"]: one["reason"] for one in scene.gc()["kept"]}
    assert "a user made it" in kept[scene.name]
    assert scene.containers() != {}

"""`with envctl.up(…)` in Python: what it made goes with the process, however that ends; what was there before stays."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.scenarios.scene import Scene

SEED = 20260722
"""Decides the moments; change it to try others."""

MOMENTS = 5

SUITE = """
import sys, envctl
with envctl.up(services=["redis"]) as env:
    env.redis.client().ping()
    print("inside", env.report().attached, flush=True)
    sys.stdin.read()
"""
"""A test session that works until its stdin says something or ends."""


@pytest.fixture(scope="module")
def seconds(new_scene: Callable[[], AbstractContextManager[Scene]]) -> float:
    """How long a session takes until it is inside of its block, here and now."""
    with new_scene() as scene:
        began = time.monotonic()
        scene.hears(scene.python(SUITE), "inside")
        return time.monotonic() - began


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_everything_goes_when_the_process_is_killed(scene: Scene, seconds: float, moment: int) -> None:
    """SIGKILL at any moment, while it comes up and while it works: the guardian takes it down, and goes too."""
    delay = seconds * 1.3 * (moment + random.Random(f"{SEED} {moment}").random()) / MOMENTS  # noqa: S311 - repeatable
    scene.step(f"the session is killed after {delay:.2f} s")
    session = scene.python(SUITE)
    assert session.lasts(delay)
    session.kill()
    scene.eventually(scene.is_clean)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_everything_goes_when_the_process_is_ended_by_a_signal(scene: Scene, number: int) -> None:
    """Python dies of these at once, without leaving the block."""
    session = scene.python(SUITE)
    scene.hears(session, "inside")
    session.signal(number)
    assert not session.lasts(60)
    scene.eventually(scene.is_gone)


def test_everything_is_gone_when_the_block_ends(scene: Scene) -> None:
    """Before the next statement runs, without a word from a guardian."""
    program = SUITE + "print(envctl.up)\n"
    session = scene.python(program)
    scene.hears(session, "inside")
    session.finish(exits=None)
    scene.is_gone()


def test_everything_is_gone_when_the_block_raises(scene: Scene) -> None:
    """The exception of the block is the one that is seen."""
    program = """
import sys, envctl
try:
    with envctl.up(services=["redis"]):
        raise KeyError("of the test")
except KeyError as error:
    print(error)
"""
    assert scene.python(program).finish().out.splitlines()[-1] == "'of the test'"
    scene.is_gone()


def test_a_block_leaves_an_environment_that_was_there_before(scene: Scene) -> None:
    """Also when its process is killed: somebody else made it."""
    scene.envctl("up", "--service", "redis")
    ids = scene.ids()
    finished, killed = scene.python(SUITE), scene.python(SUITE)
    scene.hears(finished, "inside True")
    scene.hears(killed, "inside True")
    finished.finish(exits=None)
    killed.kill()
    assert scene.helpers() == []
    assert scene.ids() == ids
    assert scene.envctl("status", "--json").document["state"] == "ready"
    scene.envctl("down")
    scene.is_gone()


def test_the_owner_shows_in_the_list_and_gc_respects_the_living(scene: Scene) -> None:
    """While the process lives, its environment is kept, with the reason."""
    session = scene.python(SUITE)
    scene.hears(session, "inside")
    kept = {one["environment"]: one["reason"] for one in scene.gc()["kept"]}
    assert f"process {session.process.pid}" in kept[scene.name]
    listed = {one["name"]: one["owner"] for one in scene.envctl("ls", "--json").document["environments"]}
    assert str(session.process.pid) in listed[scene.name]


def test_gc_collects_when_owner_and_guardian_both_died(scene: Scene) -> None:
    """The last resort: both were killed, and the engine's labels alone prove it."""
    session = scene.python(SUITE)
    scene.hears(session, "inside")
    scene.step("the guardian is killed, then its owner")
    for guardian in scene.helpers():
        guardian.kill()
    session.kill()
    dead = {one["environment"]: one["reason"] for one in scene.gc()["dead"]}
    assert f"process {session.process.pid}" in dead[scene.name]
    scene.is_gone()

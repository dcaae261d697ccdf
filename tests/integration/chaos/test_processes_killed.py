"""SIGKILL of whoever injects and heals, before every single thing that it does: another process mends it, each time."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

    from envctl.environment import Environment

SERVICES = ["redis"]

_PROGRAM = """
import os, signal, sys, envctl
from envctl.chaos import warden
from envctl.engine.hands import Hands
from envctl.journal import Journal

environment, fault, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
steps = 0

def before(kind, name):
    real = getattr(kind, name)

    def step(*given, **named):
        global steps
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)

    setattr(kind, name, step)

for name in ("save", "close"):
    before(Journal, name)
for name in ("kill", "pause", "unpause", "start", "stop", "restart", "set_restart_policy", "operation", "mend"):
    before(Hands, name)
warden.ensure = lambda ward: None  # whoever heals is the test: the warden would be earlier, or later
env = envctl.attach(environment)
env.chaos.call(fault, "redis", {}, duration="10m").heal()
"""


@pytest.fixture
def seen(env: Environment, engine: docker.DockerClient) -> Callable[[], dict[str, Any]]:
    """What must be the same before and after."""

    def look() -> dict[str, Any]:
        found = engine.api.inspect_container(f"envctl-{env.name}-redis-1")
        return {key: found[key] for key in ("Id", "HostConfig", "Mounts", "Config", "Created")}

    return look


@pytest.mark.parametrize(
    "fault",
    [
        "kill",
        "stop",
        "restart",
        "pause",
        "crash-loop",
        "oom-kill",
        "cpu-starve",
        "memory-pressure",
        "exhaust-descriptors",
        "power-loss",
    ],
)
def test_a_kill_before_any_step_leaves_nothing_that_healing_does_not_mend(
    env: Environment, seen: Callable[[], dict[str, Any]], fault: str
) -> None:
    """Before each write of the journal and each act on the container, while injecting and while healing."""
    env.redis.client().set("kept", "1")
    assert env.redis.client(socket_timeout=60).waitaof(1, 0, 30_000)
    before, groups = seen(), _groups(env)
    # How many steps there are is not the same each time: what is not so yet is looked at again.
    over, last = False, 0
    while not over:
        last += 1
        over = _run(env, fault, last) == 0
        assert {healed.stage for healed in env.chaos.heal()} <= {"healed"}, last
        assert env.chaos.status() == [], last
        assert seen() == before, last
        until(lambda: _answers(env), 60, "redis answers")
        assert env.redis.client().get("kept") == b"1", last
        assert _groups(env) == groups, last
    assert last > 5


def _run(env: Environment, fault: str, last: int) -> int:
    """-9 when it came to that step, 0 when it had fewer."""
    command = [sys.executable, "-c", _PROGRAM, env.name, fault, str(last)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in {0, -9}, done.stderr
    return done.returncode


def _groups(env: Environment) -> dict[str, Any]:
    from envctl.chaos.ward import Ward

    site = Ward(env.name).site("redis")
    pid = site.hands.pid(site.container.id)
    look = [site.hands.operation(env.name, "limits.look", pid=pid, controller=c) for c in ("cpu", "memory")]
    files = site.hands.operation(env.name, "descriptors.look", pid=pid)["processes"]
    return {"limits": [seen["limits"] for seen in look], "files": {(one["soft"], one["hard"]) for one in files}}


def _answers(env: Environment) -> None:
    try:
        env.redis.client(retry=None).ping()
    except Exception as error:
        raise NotReady(str(error)) from error

"""Pausing a service: connections stay open, nothing answers, and everything goes on afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from envctl.errors import FaultConflict

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from envctl.environment import Environment

SERVICES = ["redis"]


def test_a_live_client_and_a_new_one_get_no_answer_and_the_live_one_goes_on_afterwards(env: Environment) -> None:
    """It hangs, as a frozen machine does."""
    live = env.redis.client(socket_timeout=2, retry=None)
    live.set("before", "1")
    with env.chaos.pause("redis"):
        for client in (live, env.redis.client(socket_timeout=0.5, retry=None)):
            with pytest.raises(redis.TimeoutError):
                client.ping()
    assert live.get("before") == b"1"


def test_it_ends_by_itself_when_its_time_is_over(env: Environment, eventually: Callable[..., None]) -> None:
    """The warden heals it."""
    pause = env.chaos.pause("redis", duration="1s")
    eventually(lambda: _assert(not pause.in_force))
    assert env.redis.client().ping()
    assert pause.heal().stage == "healed"


def test_it_ends_with_the_process_that_holds_it_though_that_was_killed(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """The warden sees that its holder is dead."""
    with injected("env.chaos.pause('redis', duration='1h').__enter__()") as other:
        [entry] = env.chaos.status()
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    assert [line["event"] for line in env.chaos.history() if line["id"] == entry.id][-1] == "fault.healed"
    assert env.redis.client().ping()


def test_a_second_one_is_refused_with_the_first_ones_name(env: Environment) -> None:
    """Nothing is changed by the second."""
    with env.chaos.pause("redis") as pause, pytest.raises(FaultConflict, match=pause.id):
        env.chaos.pause("redis")


def test_a_restart_meanwhile_makes_it_lost(env: Environment) -> None:
    """Whoever restarts a service ends what lived in its processes."""
    pause = env.chaos.pause("redis")
    pause._site.hands.restart(pause._site.container.id, 1)
    healed = pause.heal()
    assert healed.stage == "lost"
    assert "started anew" in healed.problem
    env.wait_recovered("redis")


def _assert(condition: bool) -> None:
    assert condition

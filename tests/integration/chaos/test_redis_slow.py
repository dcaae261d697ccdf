"""Redis that is slow: its commands held back on their way, or its one thread busy now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import redis

from envctl.errors import ConfigurationError
from tests.integration.chaos.redis_clients import boss

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from envctl.environment import Environment

SERVICES = ["redis"]


def test_commands_are_held_back_on_live_connections_and_new_ones(env: Environment) -> None:
    """All of them, the login too; or every second of those with a text in them, and no others."""
    with env.redis.client(retry=None, single_connection_client=True) as live:
        live.ping()
        with env.chaos.slow_commands("redis", delay="200ms"):
            assert seconds(live.ping) >= 0.2
            with env.redis.client(retry=None) as new:
                assert seconds(new.ping) >= 0.2
            with env.redis.client(retry=None, socket_timeout=0.1) as hasty, pytest.raises(redis.TimeoutError):
                hasty.ping()
        with env.chaos.slow_commands("redis", delay="1s", matching="set orders:", every=2):
            took = [seconds(lambda: live.set("orders:1", "a")) for _ in range(4)]
            assert [one >= 1 for one in took] in ([True, False] * 2, [False, True] * 2), took
            assert seconds(lambda: live.get("orders:1")) < 1
            assert seconds(lambda: live.set("other", "a")) < 1
        assert live.get("orders:1") == b"a"


def test_all_clients_wait_while_the_server_is_busy_now_and_then(
    env: Environment, eventually: Callable[..., None]
) -> None:
    """Nothing is refused; afterwards nobody waits."""
    with env.redis.client(retry=None) as live, boss(env) as admin:
        live.ping()
        with env.chaos.block_server("redis", busy="300ms", every="500ms") as fault:
            assert fault.evidence["busy"] >= 0.3
            eventually(lambda: _assert(seconds(live.ping) >= 0.15))
            with env.redis.client(retry=None, socket_timeout=0.1) as hasty:
                eventually(lambda: _assert(refused(hasty)))
            assert busy(admin)
        eventually(lambda: _assert(not busy(admin)))
        assert live.set("a", "b")


def test_the_server_is_left_alone_when_the_process_that_keeps_it_busy_was_killed(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """By the warden."""
    with injected("env.chaos.block_server('redis', duration='1h').__enter__()") as other, boss(env) as admin:
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
        eventually(lambda: _assert(not busy(admin)))


def busy(admin: redis.Redis) -> bool:
    """Whether the client that keeps it busy is there; one that has hung up is, until the server notices."""
    return any(one["name"].startswith("envctl-busy-") for one in admin.client_list())


def refused(client: redis.Redis) -> bool:
    """Whether it met its time limit."""
    try:
        client.ping()
    except redis.TimeoutError:
        return True
    return False


def seconds(act: Callable[[], object]) -> float:
    """How long it took."""
    start = time.monotonic()
    act()
    return time.monotonic() - start


def test_impossible_times_are_told_before_anything_is_touched(env: Environment) -> None:
    """All at once."""
    with pytest.raises(ConfigurationError) as error:
        env.chaos.block_server("redis", busy="5s", every="1s")
    assert "--busy: wanted more than 0 and less" in str(error.value)
    assert "--every: wanted no less" in str(error.value)


def _assert(condition: bool) -> None:
    assert condition

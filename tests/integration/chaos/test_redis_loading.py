"""Redis as it answers while it loads: connections are cut, new ones are told LOADING, and nothing has changed after."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import redis
from redis.exceptions import BusyLoadingError, ExecAbortError

from envctl.chaos.ward import Ward
from envctl.errors import FaultConflict
from envctl.journal import Journal
from envctl.services.redis.chaos.conversation import Conversation
from envctl.services.wire import app_of
from envctl.state import StateFolder
from tests.integration.chaos.redis_clients import boss

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from envctl.environment import Environment

SERVICES = ["redis"]
CLOSED = (redis.ConnectionError, ConnectionResetError)


def test_a_live_connection_is_cut_and_a_new_one_is_told_that_it_loads(env: Environment) -> None:
    """Whatever it asks; what it wanted to write is not written."""
    with env.redis.client(retry=None) as live, env.redis.client(retry=None) as new:
        live.set("kept", b"x" * 100_000)
        before = live.dbsize()
        with env.chaos.loading("redis") as fault:
            with pytest.raises(CLOSED):
                live.get("kept")
            for act in (new.ping, new.dbsize, lambda: new.get("kept"), lambda: new.set("lost", b"\r\n" * 3_000_000)):
                with pytest.raises(BusyLoadingError, match="loading the dataset in memory"):
                    act()
            assert "LOADING" in fault.evidence["new"]
        assert live.dbsize() == before
        assert live.get("kept") == b"x" * 100_000
        assert live.set("more", "1")


def test_what_a_loading_server_would_do_is_done(env: Environment) -> None:
    """It logs in, or does not; it tells of itself; it passes messages on; transactions are discarded."""
    with env.chaos.loading("redis"), env.redis.client(retry=None) as client:
        assert client.info("persistence")["loading"] == 1
        listener = client.pubsub()
        listener.subscribe("news")
        assert listener.get_message(timeout=10) is not None
        client.publish("news", "loading:0")
        message = listener.get_message(timeout=10)
        assert message is not None
        assert message["data"] == b"loading:0"
        listener.close()
        with client.pipeline(transaction=True) as pipeline, pytest.raises((ExecAbortError, BusyLoadingError)):
            pipeline.set("a", "b").get("a").execute()
        with env.redis.client(retry=None, password="wrong") as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_answers_of_a_pipeline_stay_in_their_order(env: Environment) -> None:
    """Some are refused, some are not. (redis-py gives up a pipeline at the first LOADING.)"""
    at = Ward(env.name).site("redis").at
    with env.chaos.loading("redis"), Conversation(at, app_of(at)) as client:
        answers = client.ask_all([command for one in range(50) for command in (["ECHO", f"{one}"], ["GET", "a"])])
    assert answers[::2] == [b"%d" % number for number in range(50)]
    assert {str(one) for one in answers[1::2]} == {"LOADING Redis is loading the dataset in memory"}


def test_nobody_else_comes_in_between(env: Environment) -> None:
    """Other faults could not be told from it; those that were there before are healed after it."""
    with env.chaos.out_of_memory("redis"), env.chaos.loading("redis") as fault:
        for other in ("loading", "pause"):
            with pytest.raises(FaultConflict, match=fault.id):
                env.chaos.call(other, "redis", {})
    with env.redis.client() as client:
        assert client.set("a", "b")


def test_it_ends_with_the_process_that_holds_it_though_that_was_killed(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """A new connection is served again."""
    with injected("env.chaos.loading('redis', duration='1h').__enter__()") as other:
        with env.redis.client(retry=None) as client, pytest.raises(BusyLoadingError):
            client.ping()
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    with env.redis.client() as client:
        assert client.ping()


def test_clients_come_to_the_server_again_when_the_gate_is_killed(
    env: Environment, eventually: Callable[..., None]
) -> None:
    """It fails open, and is healed all the same."""

    def served() -> None:
        try:
            with env.redis.client(retry=None) as client:
                client.ping()
        except redis.RedisError as error:
            raise AssertionError from error

    with env.chaos.loading("redis", duration="1m") as fault:
        entry, site = Journal(StateFolder(env.name)).get(fault.id), Ward(env.name).site("redis")
        assert entry is not None
        noted = site.hands.operate(env.name, ["cat", f"/run/{entry.plan['gate']}.json"])
        site.hands.operate(env.name, ["sh", "-c", f"kill -9 {json.loads(noted.output)['pid']}"])
        eventually(served)
    served()


def test_a_restart_by_somebody_else_ends_it(env: Environment) -> None:
    """It went with the network namespace: lost, and told."""
    with env.chaos.loading("redis") as fault:
        site = Ward(env.name).site("redis")
        site.hands.restart(site.container.id, 10)
    assert fault.healed is not None
    assert fault.healed.stage == "lost"
    env.wait_recovered("redis")


def test_settings_and_data_are_what_they_were(env: Environment) -> None:
    """Nothing of it is in the server."""
    with boss(env) as admin:
        admin.flushall()
        admin.set("only", "one")
        before = admin.config_get("*")
        with env.chaos.loading("redis"):
            pass
        assert admin.config_get("*") == before
        assert admin.keys() == ["only"]


def _assert(condition: bool) -> None:
    assert condition

"""Keys that Redis evicts itself: gone for every client while it is in force, and back with all that they held."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from envctl.chaos.ward import Ward
from envctl.errors import ConfigurationError, FaultConflict, FaultUnfit
from envctl.faults.ways.evict import Evict
from envctl.state import StateFolder
from envctl.waiting import until
from tests.integration.chaos.redis_clients import boss

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import redis

    from envctl.environment import Environment

SERVICES = ["redis"]


@pytest.fixture
def keys(env: Environment) -> Iterator[redis.Redis]:
    """Keys of all kinds in two databases, some with a time to live; the same content and settings afterwards."""
    with env.redis.client(retry=None) as client, env.redis.client(db=3) as other, boss(env) as admin:
        client.flushall()
        for number in range(200):
            client.set(f"plain:{number}", b"x" * number)
            client.set(f"short:{number}", b"y", ex=1000 + number)
        client.sadd("set", *range(300))
        client.hset("hash", mapping={"a": "1", "b": "2"})
        client.xadd("stream", {"a": 1})
        other.zadd("ranked", {"a": 1.5, "b": 2})
        before = admin.config_get("*")
        yield client
        assert admin.config_get("*") == before


def content(env: Environment) -> dict[str, object]:
    """All keys, with what they hold and the Unix time in ms at which they end."""
    found: dict[str, object] = {}
    for number in (0, 3):
        with env.redis.client(db=number) as client:
            for key in client.scan_iter(count=1000):
                kind = client.type(key)
                value = sorted(client.smembers(key)) if kind == b"set" else client.dump(key)
                found[f"{number} {key!r}"] = (kind, value, client.pexpiretime(key))
    return found


def stashes(env: Environment) -> list[str]:
    """Files with what was evicted."""
    return [path.name for path in StateFolder(env.name).path.glob("evicted-*")]


@pytest.mark.parametrize("parameters", [{}, {"share": 50, "policy": "allkeys-random"}, {"share": 100}])
def test_keys_are_evicted_by_the_server_and_are_back_afterwards(
    env: Environment, keys: redis.Redis, parameters: dict[str, object]
) -> None:
    """It counts them itself; a live client misses them, and finds them again."""
    before, counted = content(env), int(keys.info("stats")["evicted_keys"])
    with env.chaos.call("evict", "redis", parameters) as fault:
        gone = before.keys() - content(env).keys()
        assert len(gone) == fault.evidence["evicted"] == int(keys.info("stats")["evicted_keys"]) - counted
        assert len(gone) >= (10 if not parameters else 202 if "policy" in parameters else 404)
    assert content(env) == before
    assert fault.healed is not None
    assert fault.healed.evidence["brought back"] == len(gone)
    assert stashes(env) == []


def test_a_policy_takes_what_it_says(env: Environment, keys: redis.Redis) -> None:
    """Those whose time is over first."""
    before = content(env)
    with env.chaos.evict("redis", keys=5, policy="volatile-ttl"):
        gone = before.keys() - content(env).keys()
        assert {"0 b'plain:1'", "3 b'ranked'", "0 b'set'"} & gone == set()
        assert len(gone) < 50
    assert content(env) == before
    assert keys.ttl("short:0") > 0


def test_what_clients_write_meanwhile_stays_as_they_wrote_it(env: Environment, keys: redis.Redis) -> None:
    """A cache that is filled again."""
    with env.chaos.evict("redis", share=100) as fault:
        assert keys.get("plain:7") is None
        keys.set("plain:7", "mine")
        keys.set("new", "too")
    assert fault.healed is not None
    assert fault.healed.evidence["written anew"] == 1
    assert (keys.get("plain:7"), keys.get("new"), keys.get("plain:8")) == (b"mine", b"too", b"x" * 8)


def test_a_database_that_was_emptied_meanwhile_stays_empty(env: Environment, keys: redis.Redis) -> None:
    """What a test clears is not for envctl to bring back."""
    with env.chaos.evict("redis") as fault:
        keys.flushall()
    assert fault.healed is not None
    assert "emptied" in fault.healed.evidence["left"]
    assert keys.dbsize() == 0


def test_a_key_whose_time_is_over_meanwhile_stays_away(
    env: Environment, keys: redis.Redis, eventually: Callable[..., None]
) -> None:
    """It would have gone without the fault, too."""
    keys.set("brief", "x", px=1500)
    end = time.monotonic() + 1.5
    with env.chaos.evict("redis", share=100, policy="volatile-ttl") as fault:
        eventually(lambda: _assert(time.monotonic() > end))
    assert fault.healed is not None
    told = fault.healed.evidence
    assert told["time over"] + told["brought back"] == told["evicted"]
    assert not keys.exists("brief")


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("steps", range(4))
def test_another_process_heals_it_wherever_the_injector_was_killed(env: Environment, steps: int) -> None:
    """After planning, acting, undoing, and proving; all that is left then is the journal and the file beside it."""
    fault, before, site = Evict(), content(env), Ward(env.name).site("redis")
    plan = json.loads(json.dumps(fault.plan(site)))
    for step in (fault.apply, fault.undo, fault.recovered)[:steps]:
        step(site, plan)
    elsewhere = Ward(env.name).site("redis")
    fault.undo(elsewhere, plan)
    fault.undo(elsewhere, plan)
    fault.recovered(elsewhere, plan)
    assert content(env) == before
    assert stashes(env) == []


@pytest.mark.usefixtures("keys")
def test_keys_are_back_after_the_injector_was_killed_and_redis_too(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """A restart keeps what is there, and what was evicted stays evicted."""
    before = content(env)
    with injected("env.chaos.evict('redis', share=100, duration='1h').__enter__()") as other:
        site = Ward(env.name).site("redis")
        site.hands.restart(site.container.id, 10)
        until(site.ping, 60, "redis answers")
        assert content(env) == {}
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    assert content(env) == before


def test_two_at_once_are_refused(env: Environment, keys: redis.Redis) -> None:
    """Also with another on the same settings, and with a replica that evicts nothing."""
    del keys
    with env.chaos.evict("redis") as fault:
        for other in ("evict", "out-of-memory", "read-only", "kill-mid-transaction"):
            with pytest.raises(FaultConflict, match=fault.id):
                env.chaos.call(other, "redis", {})


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"keys": "1000"}, "wanted 1000 keys to evict"),
        ({"keys": "201", "policy": "volatile-lru"}, "wanted 201 keys with a time to live"),
    ],
)
def test_no_more_can_go_than_are_there(
    env: Environment, keys: redis.Redis, parameters: dict[str, str], words: str
) -> None:
    """Nothing is changed."""
    before = content(env)
    with pytest.raises(FaultUnfit) as error:
        env.chaos.call("evict", "redis", parameters)
    assert words in f"wanted {error.value.wanted}"
    assert content(env) == before
    assert keys.dbsize() == len(before) - 1


def test_more_than_can_be_recorded_is_refused(env: Environment, keys: redis.Redis) -> None:
    """What cannot be brought back is not taken away."""
    with keys.pipeline(transaction=False) as pipeline:
        for number in range(10_000):
            pipeline.set(f"many:{number}", "")
        pipeline.execute()
    with pytest.raises(FaultUnfit, match="at most 10000 keys"):
        env.chaos.evict("redis")
    keys.flushall()


def test_impossible_parameters_are_told_before_anything_is_touched(env: Environment) -> None:
    """All at once: exit code 2."""
    with pytest.raises(ConfigurationError) as error:
        env.chaos.call("evict", "redis", {"keys": "0", "policy": "lru"})
    assert "--keys: wanted 1 or more" in str(error.value)
    assert "--policy: wanted one of allkeys-lru" in str(error.value)
    with pytest.raises(ConfigurationError, match="--share"):
        env.chaos.evict("redis", share=101)


def _assert(condition: bool) -> None:
    assert condition

"""Ambushes on Redis that come to nothing: nobody comes, whoever waits is killed, the server dies by itself."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from envctl.chaos.ward import Ward
from envctl.errors import ConfigurationError, VictimNeverCame
from envctl.faults.kill_mid_transaction import KillMidTransaction
from envctl.services.redis.chaos.clients import held, listed
from envctl.services.redis.chaos.silence import keep_back, rules
from tests.integration.chaos.redis_clients import (
    PATIENCE,
    keepers,
    there,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from envctl.environment import Environment

SERVICES = ["redis"]


@pytest.fixture(autouse=True)
def clean(env: Environment) -> Iterator[None]:
    """One key that was there before, and none of an earlier test."""
    with env.redis.client() as client:
        client.flushall()
        client.set("before", "1")
    yield
    env.wait_recovered("redis", timeout=PATIENCE)


def test_without_a_victim_it_times_out_and_nothing_is_left(env: Environment) -> None:
    """The gate is open, its keeper gone."""
    kill = env.chaos.kill_mid_transaction("redis", application="nobody", duration="1s")
    with pytest.raises(VictimNeverCame, match=r"none came|gate was lost"):
        kill.wait()
    kill.heal()
    assert not keepers(env)
    assert there(env) == 0


def test_a_gate_whose_holder_was_killed_opens_by_itself(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """Writes go on within a second or so, without anybody's help; then the warden ends the fault."""
    lines = "env.chaos.kill_mid_transaction('redis', application='nobody', duration='1h').__enter__()"
    with injected(lines) as other:
        assert keepers(env)
        other.kill()
        with env.redis.client() as client:
            assert client.set("after", "1")
        eventually(lambda: _assert(env.chaos.status() == []))
    assert not keepers(env)


@pytest.mark.parametrize("steps", range(3))
def test_another_process_removes_the_gate_wherever_its_keeper_was_killed(env: Environment, steps: int) -> None:
    """After planning, after arming, and with a client's answers kept back."""
    fault, site = KillMidTransaction(at="in-doubt"), Ward(env.name).site("redis")
    plan = json.loads(json.dumps(fault.plan(site)))
    with env.redis.client(client_name="mute", retry=None, single_connection_client=True) as client:
        client.ping()
        if steps:
            fault.apply(site, plan)
            fault.bites(site, plan)
        if steps > 1:
            [mute] = [one for one in listed(site.kept["gate"]) if one.name == "mute"]
            keep_back(site, dataclasses.replace(mute, held=True, last="exec"), plan["survey"]["mark"])
            held(site.kept["gate"], 60)
            assert rules(site, plan["survey"]["mark"]) == 1
        elsewhere = Ward(env.name).site("redis")
        fault.undo(elsewhere, plan)
        fault.undo(elsewhere, plan)
        assert fault.recovered(elsewhere, plan)["gate"] == "removed"
        assert client.set("again", "1")
    assert not keepers(env)
    if "gate" in site.kept:
        site.kept["gate"].close()


def test_a_server_that_dies_by_itself_while_it_is_watched_ends_the_watch(env: Environment) -> None:
    """And it is started again by healing."""
    site = Ward(env.name).site("redis")
    kill = env.chaos.kill_mid_transaction("redis", application="nobody", duration="60s")
    site.hands.kill(site.container.id)
    with pytest.raises(VictimNeverCame, match="gate was lost"):
        kill.wait()
    assert kill.heal().stage == "healed"
    env.wait_recovered("redis", timeout=PATIENCE)


@pytest.mark.parametrize(
    ("aim", "words"),
    [
        ({"at": "sometime", "means": "axe"}, ["--at: wanted one of queued, after-exec, in-doubt", "--means: wanted"]),
        ({"where": "a > 1", "operation": "insert"}, ["--where", "--operation"]),
        ({"after_rows": 2, "after_statements": 2}, ["give one"]),
        ({"after_statements": 2, "at": "in-doubt"}, ["only with --at queued"]),
    ],
)
def test_impossible_aims_are_told_all_at_once(env: Environment, aim: dict[str, Any], words: list[str]) -> None:
    """Nothing is changed: exit code 2."""
    with pytest.raises(ConfigurationError) as error:
        env.chaos.kill_mid_transaction("redis", **aim)
    assert all(word in str(error.value) for word in words)
    assert error.value.exit_code == 2
    assert env.chaos.status() == []


def _assert(condition: bool) -> None:
    assert condition

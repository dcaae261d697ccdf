"""Killing Redis in the middle of MULTI … EXEC: what is there afterwards, and what the client was told."""

from __future__ import annotations

import dataclasses
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis

from envctl.chaos.ward import Ward
from envctl.errors import ConfigurationError, VictimNeverCame
from envctl.faults.kill_mid_transaction import KillMidTransaction
from envctl.model import State
from envctl.reports import Fate
from envctl.services.redis.chaos.clients import held, listed
from envctl.services.redis.chaos.silence import keep_back, rules

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from envctl.environment import Environment
    from envctl.reports import Verdict

SERVICES = ["redis"]
PATIENCE = 120.0
COMMANDS = 30
DOWN = ["server", "shutdown-nosave", "shutdown"]


@pytest.fixture(autouse=True)
def clean(env: Environment) -> Iterator[None]:
    """One key that was there before, and none of an earlier test."""
    with env.redis.client() as client:
        client.flushall()
        client.set("before", "1")
    yield
    env.wait_recovered("redis", timeout=PATIENCE)


class Victim(threading.Thread):
    """An ordinary client with one transaction: all of it in one packet, or one command at a time. Keeps its answer."""

    def __init__(self, env: Environment, style: str, name: str = "payments") -> None:
        super().__init__(daemon=True)
        self.client = env.redis.client(client_name=name, retry=None, single_connection_client=True)
        self.style = style
        self.answer: list[Any] | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Send it."""
        try:
            self.answer = self._in_one_packet() if self.style == "packet" else self._one_by_one()
        except redis.RedisError as error:
            self.error = error
        finally:
            self.client.close()

    def _in_one_packet(self) -> list[Any]:
        with self.client.pipeline(transaction=True) as pipeline:
            for number in range(COMMANDS):
                pipeline.set(_key(number), number)
            return list(pipeline.execute())

    def _one_by_one(self) -> list[Any]:
        send: Callable[..., Any] = self.client.execute_command
        send("MULTI")
        for number in range(COMMANDS):
            send("SET", _key(number), number)
        return list(send("EXEC"))


def _key(number: int) -> str:
    """The keys of the transaction; one is hard to read."""
    return f"tx:{number}" if number else 'tx:"é\\\n\x00\\"'


def struck(env: Environment, style: str, **aim: str | int) -> tuple[Verdict, Victim]:
    """The verdict, and the client as the kill left it."""
    with env.chaos.kill_mid_transaction("redis", application="payments", duration="90s", **aim) as kill:
        victim = Victim(env, style)
        verdict = kill.verdict
        victim.join(PATIENCE)
    return verdict, victim


def there(env: Environment) -> int:
    """How many of the transaction's keys are there; the key from before always is."""
    with env.redis.client() as client:
        assert client.get("before") == b"1"
        return sum(1 for _ in client.scan_iter("tx:*"))


@pytest.mark.parametrize("means", [*DOWN, "connection"])
@pytest.mark.parametrize("style", ["packet", "one by one"])
def test_what_is_queued_is_gone_and_the_client_knows_that_it_failed(env: Environment, style: str, means: str) -> None:
    """Nothing of it was executed, whatever ends it."""
    verdict, victim = struck(env, style, at="queued", means=means)
    [one] = verdict.transactions
    assert (one.victim, one.fate, "payments" in one.who) == (True, Fate.ROLLED_BACK, True)
    assert victim.answer is None
    assert isinstance(victim.error, redis.ConnectionError)
    assert there(env) == 0
    assert verdict.clean


@pytest.mark.parametrize("means", [*DOWN, "connection"])
def test_what_was_acknowledged_just_before_the_kill_is_there(env: Environment, means: str) -> None:
    """The client has its answer, and the data are there."""
    verdict, victim = struck(env, "packet", at="after-exec", means=means)
    [one] = verdict.committed
    assert len(one.facts["keys"]) == COMMANDS
    assert victim.answer == [True] * COMMANDS
    assert there(env) == COMMANDS
    assert verdict.clean
    assert verdict.facts["appendfsync"] == "everysec"


@pytest.mark.parametrize("means", ["server", "shutdown", "connection"])
@pytest.mark.parametrize("style", ["packet", "one by one"])
def test_in_doubt_it_is_there_and_its_client_was_never_told(env: Environment, style: str, means: str) -> None:
    """The answer was still on the server when it ended."""
    verdict, victim = struck(env, style, at="in-doubt", means=means)
    [one] = verdict.in_doubt
    assert one.victim
    assert verdict.facts["unacknowledged_bytes"] > 0
    assert victim.answer is None
    assert isinstance(victim.error, redis.ConnectionError)
    assert there(env) == COMMANDS
    assert not verdict.clean


@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
def test_what_an_acknowledged_write_is_worth_is_told_by_the_servers_own_setting(env: Environment, policy: str) -> None:
    """A killed server loses nothing that the kernel has; what a power failure loses is not claimed to be known."""
    with configured(env, "appendfsync", policy):
        verdict, _ = struck(env, "packet", at="after-exec", means="connection")
    assert verdict.facts["appendfsync"] == policy
    assert "power failure" in verdict.facts["an_acknowledged_write"]


def test_without_an_append_only_file_an_acknowledged_write_is_lost_and_the_verdict_says_so(env: Environment) -> None:
    """The control of the verdict: it can see a loss."""
    with configured(env, "appendonly", "no"):
        verdict, victim = struck(env, "packet", at="after-exec", means="shutdown-nosave")
        # The new start had the setting of the compose file; healing gave it back the one of the run before.
        assert configure(env, "appendonly", "no") == "no"
    assert victim.answer == [True] * COMMANDS
    assert verdict.rolled_back
    assert not verdict.clean
    assert any("acknowledged, and is lost" in problem for problem in verdict.problems)


def test_without_restart_it_waits_until_somebody_starts_the_server(
    env: Environment, eventually: Callable[..., None]
) -> None:
    """A supervisor of the test's own, say."""
    site = Ward(env.name).site("redis")
    with env.chaos.kill_mid_transaction("redis", at="in-doubt", restart=False, duration="90s") as kill:
        victim = Victim(env, "packet")
        victim.join(PATIENCE)
        eventually(lambda: _assert(site.now().state is State.EXITED))
        site.hands.start(site.container.id)
        assert kill.verdict.in_doubt
    assert there(env) == COMMANDS


def test_it_waits_until_so_many_commands_are_queued(env: Environment) -> None:
    """At least: a client that is fast may have sent one or two more."""
    verdict, _ = struck(env, "one by one", after_statements=10, means="connection")
    [one] = verdict.transactions
    assert 9 <= one.facts["queued"] < COMMANDS
    assert there(env) == 0


def test_only_the_client_that_is_aimed_at_is_the_victim(env: Environment) -> None:
    """Others commit beside it, held up for a moment."""
    with env.chaos.kill_mid_transaction("redis", application="payments", means="connection", duration="90s") as kill:
        for number in range(3):
            beside = Victim(env, "packet", name=f"beside-{number}")
            beside.join(PATIENCE)
            assert beside.answer == [True] * COMMANDS
        victim = Victim(env, "packet")
        assert "payments" in kill.verdict.transactions[0].who
        victim.join(PATIENCE)
    assert victim.answer is None


def test_every_other_transaction_that_was_open_is_named_too(env: Environment) -> None:
    """The server's end is theirs as well."""
    with env.redis.client(client_name="beside", retry=None, single_connection_client=True) as beside:
        send: Callable[..., Any] = beside.execute_command
        send("MULTI")
        send("SET", "beside", "1")
        verdict, _ = struck(env, "packet", at="queued")
        with pytest.raises(redis.RedisError):
            send("EXEC")
    [other] = [one for one in verdict.transactions if not one.victim]
    assert "beside" in other.who
    assert other.facts["queued"] == 1
    assert other.fate is Fate.ROLLED_BACK
    with env.redis.client() as client:
        assert not client.exists("beside")


def test_a_transaction_that_writes_other_keys_is_passed_over(env: Environment) -> None:
    """Where its keys can be known: when it is executed."""
    with env.chaos.kill_mid_transaction(
        "redis", table="tx:*", at="after-exec", means="connection", duration="90s"
    ) as kill:
        with env.redis.client(client_name="other") as other, other.pipeline() as pipeline:
            pipeline.set("else", "1").execute()
        victim = Victim(env, "packet")
        assert "payments" in kill.verdict.transactions[0].who
        victim.join(PATIENCE)


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


def keepers(env: Environment) -> list[str]:
    """Connections of a gate."""
    with boss(env) as client:
        return [one["name"] for one in client.client_list() if one["name"].startswith("envctl-")]


def boss(env: Environment) -> redis.Redis:
    """Envctl's own identity, by redis-py."""
    at = Ward(env.name).site("redis").at
    assert at.admin is not None
    return redis.Redis(
        host=at.host, port=at.port, username=at.admin.username, password=at.admin.password, decode_responses=True
    )


def configure(env: Environment, name: str, value: str) -> str:
    """Set one of the server's settings; what it was."""
    with boss(env) as client:
        before = client.config_get(name)[name]
        client.config_set(name, value)
    return str(before)


@contextmanager
def configured(env: Environment, name: str, value: str) -> Iterator[None]:
    """A setting of the server, for a while."""
    before = configure(env, name, value)
    try:
        yield
    finally:
        configure(env, name, before)


def _assert(condition: bool) -> None:
    assert condition

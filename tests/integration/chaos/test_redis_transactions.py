"""Killing Redis in the middle of MULTI … EXEC: what is there afterwards, and what the client was told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis

from envctl.chaos.ward import Ward
from envctl.model import State
from envctl.reports import Fate
from tests.integration.chaos.redis_clients import (
    COMMANDS,
    PATIENCE,
    Bank,
    Victim,
    caught,
    configure,
    configured,
    struck,
    there,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from envctl.environment import Environment

SERVICES = ["redis"]
DOWN = ["server", "shutdown-nosave", "shutdown"]


@pytest.fixture(autouse=True)
def clean(env: Environment) -> Iterator[None]:
    """One key that was there before, and none of an earlier test."""
    with env.redis.client() as client:
        client.flushall()
        client.set("before", "1")
    yield
    env.wait_recovered("redis", timeout=PATIENCE)


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
    """At least: of a client that is fast, one or two more; or all, while the gatekeeper waits for a processor."""
    verdict, _ = struck(env, "slowly", after_statements=10, means="connection")
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
        verdict, victims = caught(env, kill)
    assert "payments" in verdict.transactions[0].who
    assert None in [one.answer for one in victims]


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
        verdict, _ = caught(env, kill)
    assert "payments" in verdict.transactions[0].who


@pytest.mark.parametrize(
    ("at", "means"),
    [("queued", "server"), ("in-doubt", "server"), ("in-doubt", "connection"), ("after-exec", "shutdown-nosave")],
)
def test_under_transfers_all_the_time_the_verdict_is_right_and_no_money_is_lost(
    env: Environment, at: str, means: str
) -> None:
    """Balances conserve, acknowledged transfers are all there, and of the others just those that the verdict names."""
    with Bank(env) as bank:
        with env.chaos.kill_mid_transaction("redis", application="bank-1", at=at, means=means, duration="90s") as kill:
            verdict = kill.verdict
        env.wait_recovered("redis", timeout=PATIENCE)
    there = bank.transfers()
    assert bank.total() == bank.CLIENTS * 100
    assert bank.acknowledged <= there
    assert verdict.problems == ()
    named = {key for one in verdict.in_doubt for key in one.facts["keys"]}
    assert {f"db0 transfer:{name}" for name in there - bank.acknowledged} <= named


def _assert(condition: bool) -> None:
    assert condition

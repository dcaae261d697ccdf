"""A bank whose database is killed in the middle of its transfers, again and again."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

import envctl
from tests.scenarios.bank import ACCOUNTS, OPENING, Audit, Bank

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker

    from envctl.environment import Environment
    from envctl.reports import Verdict

KILLS = 20

AIMS = (
    {"table": "transfers", "after_rows": 1},
    {"table": "accounts", "after_rows": 2, "operation": "update"},
    {"table": "transfers", "at": "commit"},
    {"table": "transfers", "at": "in-doubt"},
    {"application": "bank"},
)


@pytest.fixture
def env(engine: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """PostgreSQL of this test's own."""
    del engine
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with envctl.up(name=f"bank-{secrets.token_hex(4)}", services=["postgres"], ports="auto") as one:
        yield one


def require_sound(env: Environment, bank: Bank, verdict: Verdict) -> None:
    """The bank works again; balances conserve, nothing acknowledged is lost, and the verdict is right."""
    bank.wait_for_transfers(5)
    audit = Audit(env, bank.ledger)
    assert audit.total == ACCOUNTS * OPENING
    assert audit.lost == set()
    assert audit.half_done == {}
    assert audit.wrong_about(verdict) == [], str(verdict)
    assert verdict.problems == ()


def test_twenty_kills_cost_nobody_money_and_every_verdict_is_right(env: Environment) -> None:
    """Balances conserve, what was acknowledged is there, the rest is there wholly or not at all; the verdict names
    each transfer that is there though its client never heard of it, and no other. One history has the clients'
    transfers and the kills.
    """
    in_doubt: set[int] = set()
    with Bank(env) as bank:
        for turn in range(KILLS):
            bank.wait_for_transfers(5)
            aim, means = AIMS[turn % len(AIMS)], "backend" if turn % 4 == 3 else "server"
            with env.chaos.kill_mid_transaction("postgres", duration="120s", means=means, **aim) as kill:
                verdict = kill.verdict
            require_sound(env, bank, verdict)
            assert [one.victim for one in verdict.transactions].count(True) == 1
            in_doubt |= {one.facts["xid"] for one in verdict.in_doubt}
    assert Audit(env, bank.ledger).never_told == in_doubt
    history = env.chaos.history()
    assert {line["token"] for line in history if line["event"] == "operation.ok"} == {
        str(token) for token in bank.ledger.acknowledged
    }
    assert [line["event"] for line in history].count("fault.verdict") == KILLS


def test_power_that_fails_costs_nobody_what_was_acknowledged(env: Environment) -> None:
    """What the kernel had and the disk had not is gone, and it was nobody's money."""
    with Bank(env) as bank:
        for aim in AIMS[:4:3]:
            bank.wait_for_transfers(5)
            with env.chaos.kill_mid_transaction("postgres", duration="120s", means="power", **aim) as kill:
                verdict = kill.verdict
            assert verdict.facts["disk"] == {"forced": True, "forgotten": True}
            require_sound(env, bank, verdict)

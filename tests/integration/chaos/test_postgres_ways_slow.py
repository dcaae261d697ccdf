"""PostgreSQL whose statements are held back: what real clients see, and that all is as fast as before."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Any

import pytest

from envctl.chaos.ward import Ward
from envctl.errors import ConfigurationError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import psycopg

    from envctl.environment import Environment

    Injected = Callable[[str], AbstractContextManager[subprocess.Popen[str]]]
    Eventually = Callable[[Callable[[], object]], None]

SERVICES = ["postgres"]


@pytest.fixture(autouse=True)
def orders(env: Environment) -> Iterator[None]:
    """A table."""
    with env.postgres.connect(autocommit=True) as db:
        db.execute("CREATE TABLE orders (id int PRIMARY KEY, n int)")
    yield
    env.chaos.heal()
    with env.postgres.connect(autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS orders")


def seconds(db: psycopg.Connection[Any], statement: str) -> float:
    """How long it took."""
    start = time.monotonic()
    db.execute(statement.encode())
    return time.monotonic() - start


def test_every_statement_takes_longer_on_live_connections_and_new_ones(env: Environment) -> None:
    """Simple ones, and prepared ones each time; large ones too. Then they are as fast as before."""
    with env.postgres.connect(autocommit=True, prepare_threshold=0) as live:
        live.execute("SELECT 1")
        with env.chaos.slow_commands("postgres", delay="300ms") as fault, env.postgres.connect(autocommit=True) as new:
            assert fault.evidence["held"] >= 1
            for db in (live, new):
                assert seconds(db, "SELECT 1") >= 0.3
                assert seconds(db, f"SELECT length('{'x' * 200_000}')") >= 0.3
            live.execute("SELECT %s::int", [1])
            start = time.monotonic()
            live.execute("SELECT %s::int", [2])
            assert time.monotonic() - start >= 0.3
        assert min(seconds(live, "SELECT 1") for _ in range(5)) < 0.3


def test_only_statements_that_match_are_held_and_of_those_each_second(env: Environment) -> None:
    """Whatever the case of their letters; everybody else is as fast as ever."""
    with (
        env.postgres.connect(autocommit=True) as live,
        env.chaos.slow_commands("postgres", delay="2s", matching="UPDATE orders", every=2),
    ):
        took = [seconds(live, "update ORDERS set n = 2") for _ in range(4)]
        slow = [one >= 2 for one in took]
        assert slow in ([True, False, True, False], [False, True, False, True]), took
        assert min(seconds(live, "SELECT FROM orders") for _ in range(3)) < 2


def test_what_is_held_goes_on_when_it_is_healed(env: Environment) -> None:
    """A client's own clock counts from when it was sent; `statement_timeout` does not run yet."""
    with env.postgres.connect(autocommit=True, options="-c statement_timeout=1s") as patient:
        with env.chaos.slow_commands("postgres", delay="5m", matching="SELECT 42") as fault:
            assert fault.evidence["answer"] == "none within 2 s"
            patient.pgconn.send_query(b"SELECT 42")
            assert select.select([patient.pgconn.socket], [], [], 1.5)[0] == []
        result = patient.pgconn.get_result()
        assert result is not None
        assert result.get_value(0, 0) == b"42"
        while patient.pgconn.get_result():
            pass


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"delay": 0}, "--delay: wanted more than 0, found 0"),
        ({"every": 0}, "--every: wanted 1 or more, found 0"),
        ({"delay": "soon"}, "--delay"),
    ],
)
def test_impossible_delays_are_named(env: Environment, parameters: dict[str, Any], words: str) -> None:
    """Before anything is touched."""
    with pytest.raises(ConfigurationError, match=words):
        env.chaos.slow_commands("postgres", **parameters)


def test_when_all_of_envctl_dies_statements_are_fast_again_and_the_warden_removes_the_rule(
    env: Environment, injected: Injected, eventually: Eventually
) -> None:
    """The program that holds, too."""
    with injected("env.chaos.slow_commands('postgres', delay='1m').__enter__()") as process:
        [entry] = env.chaos.status()
        site = Ward(env.name).site("postgres")
        kill = "import json, os, sys; os.kill(json.load(open(f'/run/{sys.argv[1]}.json'))['pid'], 9)"
        killed = site.hands.operate(env.name, ["python3", "-c", kill, entry.plan["gate"]])
        assert killed.exit_code == 0, killed.output
        with env.postgres.connect(autocommit=True) as db:
            assert seconds(db, "SELECT 1") < 30
        process.kill()
        process.wait()

        def healed() -> None:
            assert not env.chaos.status()

        eventually(healed)

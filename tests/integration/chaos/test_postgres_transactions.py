"""Killing PostgreSQL in the middle of a transaction: every moment, every means, and what the verdict says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from envctl.errors import FaultUnfit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.chaos.injection import Injection
    from envctl.environment import Environment

SERVICES = ["postgres"]


@pytest.fixture(autouse=True)
def tables(env: Environment) -> Iterator[None]:
    """Empty tables, whatever an earlier test left."""
    with env.postgres.connect(autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS orders")
        db.execute("CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text NOT NULL)")
    yield
    env.wait_recovered("postgres", timeout=120)
    with env.postgres.connect() as db:
        left = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'envctl%'"
        assert db.execute(left).fetchall() == []
        assert db.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal").fetchall() == []
        assert db.execute("SHOW synchronous_standby_names").fetchone() == ("",)
        assert db.execute("SHOW synchronous_commit").fetchone() == ("on",)


def place(env: Environment, count: int, note: str = "victim", application: str = "shop") -> None:
    """The victim: ordinary code that writes orders in one transaction."""
    with env.postgres.connect(application_name=application) as db:
        for _ in range(count):
            db.execute("INSERT INTO orders (note) VALUES (%s)", [note])


def slowly(env: Environment, seconds: float) -> None:
    """A victim whose statements take their time."""
    with env.postgres.connect(application_name="shop") as db:
        for _ in range(600):
            db.execute("INSERT INTO orders (note) SELECT 'victim' FROM pg_sleep(%s)", [seconds])


def orders(env: Environment, note: str = "victim") -> int:
    """How many orders of that note are there."""
    env.wait_recovered("postgres", timeout=120)
    with env.postgres.connect() as db:
        [[count]] = db.execute("SELECT count(*) FROM orders WHERE note = %s", [note]).fetchall()
        return int(count)


def killed(env: Environment, *, rows: int = 30, application: str = "shop", **aim: object) -> Injection:
    """Run a victim into the fault; its connection ends."""
    kill = env.chaos.kill_mid_transaction("postgres", duration="120s", **aim)
    with kill, pytest.raises(psycopg.OperationalError):
        place(env, rows, application=application)
    return kill


def test_a_victim_at_a_row_is_gone_and_what_was_committed_before_is_kept(env: Environment) -> None:
    """The seventh of its rows is written when the server dies; the verdict names it, and is clean."""
    place(env, 5, "before")
    verdict = killed(env, table="orders", after_rows=7).verdict
    [victim] = verdict.rolled_back
    assert verdict.clean
    assert victim.victim
    assert (victim.facts["application"], victim.facts["role"], victim.facts["state"]) == ("shop", "app", "active")
    assert victim.facts["query"].startswith("INSERT INTO orders")
    assert victim.facts["status"] == "aborted"
    # Five before and seven of the victim's were given out: it was stopped at the very row.
    assert verdict.facts["sequence_gaps"]["orders_id_seq"]["before"] == 12
    assert any("redo done" in line for line in verdict.facts["log"])
    assert (orders(env, "before"), orders(env)) == (5, 0)


def test_a_victim_at_its_commit_is_gone(env: Environment) -> None:
    """All rows are written and the commit has begun; nothing of it is durable."""
    verdict = killed(env, table="orders", at="commit").verdict
    assert verdict.clean
    assert verdict.rolled_back[0].facts["query"] == "COMMIT"
    assert orders(env) == 0


@pytest.mark.parametrize("aim", [{"table": "orders"}, {"application": "shop"}], ids=["table", "no table"])
def test_a_victim_in_doubt_is_there_though_its_client_was_never_told(env: Environment, aim: dict[str, str]) -> None:
    """The commit was durable; that is what the verdict must say, and it is not called clean."""
    verdict = killed(env, at="in-doubt", **aim).verdict
    [victim] = verdict.in_doubt
    assert victim.victim
    assert not verdict.clean
    assert verdict.problems == ()
    assert orders(env) == 30


def test_others_commit_while_a_commit_in_doubt_is_waited_for(env: Environment) -> None:
    """Only the aimed application waits; everybody else is answered, with a table and without."""
    for aim in ({"table": "orders"}, {}):
        with env.chaos.kill_mid_transaction(
            "postgres", at="in-doubt", application="shop", duration="120s", **aim
        ) as kill:
            place(env, 3, "bystander", application="another")
            with pytest.raises(psycopg.OperationalError):
                place(env, 1)
        assert [one.facts["application"] for one in kill.verdict.in_doubt] == ["shop"]
    assert (orders(env, "bystander"), orders(env)) == (6, 2)


def test_a_victim_that_writes_anything_is_found_without_a_table(env: Environment) -> None:
    """By the name that its client gives; a client of another name goes by."""
    with env.chaos.kill_mid_transaction("postgres", application="shop", duration="120s") as kill:
        place(env, 20, "bystander", application="another")
        with pytest.raises(psycopg.OperationalError):
            slowly(env, 0.05)
    assert [one.facts["application"] for one in kill.verdict.rolled_back] == ["shop"]
    assert kill.verdict.clean
    assert (orders(env, "bystander"), orders(env)) == (20, 0)


def test_a_victim_is_found_after_its_third_statement(env: Environment) -> None:
    """BEGIN does not count; no earlier than at the third, where each takes its time."""
    kill = env.chaos.kill_mid_transaction("postgres", after_statements=3, duration="120s")
    with kill, pytest.raises(psycopg.OperationalError):
        slowly(env, 0.2)
    # By the sequence two were through when the third had been sent, at least.
    assert kill.verdict.facts["sequence_gaps"]["orders_id_seq"]["before"] >= 2
    assert kill.verdict.clean
    assert orders(env) == 0


def test_everybody_who_was_in_a_transaction_is_named_with_its_fate(env: Environment) -> None:
    """One that wrote and waits, one that only read, one that is prepared: none is forgotten, none is told wrong."""
    kill = env.chaos.kill_mid_transaction("postgres", table="orders", after_rows=2, application="shop", duration="120s")
    with kill:
        writer, reader = (env.postgres.connect(application_name=name) for name in ("writer", "reader"))
        writer.execute("INSERT INTO orders (note) VALUES ('bystander')")
        reader.execute("SELECT count(*) FROM orders")
        with pytest.raises(psycopg.OperationalError):
            place(env, 5)
        writer.close()
        reader.close()
    fates = {one.facts["application"]: (str(one.fate), one.facts["status"]) for one in kill.verdict.transactions}
    assert fates == {
        "shop": ("rolled-back", "aborted"),
        "writer": ("rolled-back", "aborted"),
        "reader": ("rolled-back", "wrote nothing"),
    }
    assert kill.verdict.facts["exact"] == "all"
    assert orders(env, "bystander") == 0


@pytest.mark.parametrize("means", ["server", "backend", "immediate", "fast", "terminate"])
def test_every_means_ends_the_victim_and_keeps_what_was_committed(env: Environment, means: str) -> None:
    """A session beside it ends too, but for `terminate`; the orderly way needs no recovery."""
    place(env, 5, "before")
    with env.postgres.connect(autocommit=True) as beside:
        verdict = killed(env, table="orders", after_rows=3, means=means).verdict
        if means == "terminate":
            assert beside.execute("SELECT 1").fetchone() == (1,)
        else:
            with pytest.raises(psycopg.OperationalError):
                beside.execute("SELECT 1")
    assert verdict.clean, str(verdict)
    assert verdict.means == means
    recovered = any("automatic recovery" in line for line in verdict.facts["log"])
    assert recovered == (means in {"server", "backend", "immediate"})
    assert (orders(env, "before"), orders(env)) == (5, 0)


@pytest.mark.parametrize("means", ["backend", "immediate", "fast", "terminate"])
def test_every_means_leaves_a_durable_commit_there(env: Environment, means: str) -> None:
    """In doubt is in doubt, however the server ends."""
    verdict = killed(env, at="in-doubt", table="orders", means=means).verdict
    assert [one.victim for one in verdict.in_doubt] == [True]
    assert orders(env) == 30


def test_without_a_restart_it_stays_down_until_it_is_healed(env: Environment) -> None:
    """Nobody can connect in between; the verdict comes with the healing."""
    kill = env.chaos.kill_mid_transaction("postgres", table="orders", after_rows=2, restart=False, duration="120s")
    with pytest.raises(psycopg.OperationalError):
        place(env, 5)
    with pytest.raises(psycopg.OperationalError):
        env.postgres.connect(connect_timeout=5)
    kill.heal()
    assert kill.verdict.clean
    assert orders(env) == 0


def test_a_restart_policy_acts_where_there_is_one_and_is_demanded_where_there_is_none(env: Environment) -> None:
    """The engine itself brings it back, which it does not after `docker kill`."""
    with pytest.raises(FaultUnfit, match='its policy is "no"'):
        env.chaos.kill_mid_transaction("postgres", table="orders", after_rows=1, means="policy")
    hands, container = env.chaos._ward.hands, env.chaos._ward.site("postgres").container.id
    hands.set_restart_policy(container, {"Name": "always"})
    try:
        kill = killed(env, table="orders", after_rows=2, means="policy")
        assert kill.verdict.clean
        assert hands.inspect(container)["RestartCount"] >= 1
    finally:
        hands.set_restart_policy(container, {"Name": "no"})
    assert orders(env) == 0


def test_a_number_that_a_dead_transaction_had_is_not_called_committed_by_the_next(env: Environment) -> None:
    """Nothing but the verdict's own care writes to disk here: the victim's number must be known as aborted after many
    more were given out.
    """
    verdict = killed(env, rows=1, table="orders", after_rows=1).verdict
    [victim] = verdict.rolled_back
    for _ in range(5):
        place(env, 1, "after")
    with env.postgres.connect() as db:
        query = "SELECT pg_xact_status(%s::text::xid8)"
        assert db.execute(query, [str(victim.facts["xid"])]).fetchone() == ("aborted",)
    assert orders(env) == 0


def test_prepared_transactions_survive_and_are_reported(env: Environment) -> None:
    """Neither committed nor gone: whoever prepared them decides afterwards."""
    hands, container = env.chaos._ward.hands, env.chaos._ward.site("postgres").container.id
    _as_admin(env, "ALTER SYSTEM SET max_prepared_transactions = 5")
    hands.restart(container, 30)
    env.wait_recovered("postgres", timeout=120)
    try:
        # Before it is prepared: afterwards it keeps its lock on the table.
        kill = env.chaos.kill_mid_transaction("postgres", table="orders", application="shop", duration="120s")
        with env.postgres.connect(autocommit=True, application_name="later") as db:
            db.execute("BEGIN; INSERT INTO orders (note) VALUES ('prepared'); PREPARE TRANSACTION 'later'")
        with pytest.raises(psycopg.OperationalError):
            place(env, 1)
        assert kill.verdict.clean, str(kill.verdict)
        assert kill.verdict.facts["prepared"] == ["later"]
    finally:
        with env.postgres.connect(autocommit=True) as db:
            db.execute("COMMIT PREPARED 'later'")
        kill.heal()
        _as_admin(env, "ALTER SYSTEM RESET max_prepared_transactions")
        hands.restart(container, 30)
    assert (orders(env, "prepared"), orders(env)) == (1, 0)


def _as_admin(env: Environment, statement: str) -> None:
    at = env.chaos._ward.site("postgres").at
    assert at.admin
    with psycopg.connect(
        host=at.host, port=at.port, user=at.admin.username, password=at.admin.password, dbname="app", autocommit=True
    ) as db:
        db.execute(statement.encode())

"""PostgreSQL that refuses what could be repeated: deadlocks and serialization failures, by real clients."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from envctl.chaos.ward import Ward
from envctl.errors import ConfigurationError, FaultConflict, FaultDidNotBite, FaultUnfit
from envctl.journal import Stage
from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from envctl.environment import Environment

    Injected = Callable[[str], AbstractContextManager[subprocess.Popen[str]]]
    Eventually = Callable[[Callable[[], object]], None]

SERVICES = ["postgres"]
WRITE = "UPDATE orders SET n = n + 1 WHERE id = 1"
FAULTS = ["deadlock", "serialization_failures"]
CODES = {"deadlock": "40P01", "serialization_failures": "40001"}

_OURS = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'envctl-%' AND pid <> pg_backend_pid())
  + (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'envctl%')
  + (SELECT count(*) FROM pg_proc WHERE proname = 'fire') + (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)
  + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')
"""


@pytest.fixture(autouse=True)
def orders(env: Environment) -> Iterator[None]:
    """Two tables, of which one is partitioned."""
    with env.postgres.connect(autocommit=True) as db:
        db.execute("CREATE TABLE orders (id int PRIMARY KEY, n int)")
        db.execute("CREATE TABLE parts (id int) PARTITION BY RANGE (id)")
        db.execute("CREATE TABLE parts_1 PARTITION OF parts DEFAULT")
        db.execute("INSERT INTO orders SELECT i, 0 FROM generate_series(1, 10) i")
    yield
    env.chaos.heal()
    with env.postgres.connect(autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS orders, parts")


def admin(env: Environment) -> psycopg.Connection[Any]:
    """The superuser, by psycopg."""
    at = Ward(env.name).site("postgres").at
    assert at.admin is not None
    name, password = at.admin.username, at.admin.password
    return psycopg.connect(host=at.host, port=at.port, user=name, password=password, dbname="app", autocommit=True)


def transaction(db: psycopg.Connection[Any], *statements: str) -> str:
    """How it went: the SQLSTATE and where, `40001 at 0`; empty when it was committed."""
    at = "BEGIN"
    try:
        with db.transaction():
            for number, statement in enumerate(statements):
                at = str(number)
                db.execute(statement.encode())
            at = "COMMIT"
    except psycopg.Error as error:
        return f"{error.sqlstate} at {at}"
    return ""


def number(db: psycopg.Connection[Any]) -> int:
    """How often the first order was written."""
    row = db.execute("SELECT n FROM orders WHERE id = 1").fetchone()
    return int(row[0]) if row else -1


def nothing_left(env: Environment) -> None:
    """No session, schema, function, trigger or lock of envctl's is on the server."""

    def look() -> None:
        with closing(admin(env)) as boss:
            if (found := boss.execute(_OURS).fetchone()) != (0,):
                raise NotReady(f"{found}")

    # The server notices a moment later that somebody has hung up.
    until(look, 60, "nothing of envctl's is on the server")


@pytest.mark.parametrize(("at", "place"), [("statement", "0"), ("commit", "COMMIT")])
def test_each_second_transaction_is_refused_and_goes_through_when_repeated(
    env: Environment, at: str, place: str
) -> None:
    """Of live clients and new ones, whatever they write to; what was refused has not happened."""
    with env.postgres.connect(autocommit=True) as live:
        with env.chaos.serialization_failures("postgres", at=at) as fault:
            assert fault.evidence["tables"] == ["orders", "parts"]
            with env.postgres.connect(autocommit=True) as new:
                for db in (live, new):
                    assert [transaction(db, WRITE, WRITE) for _ in range(2)] == [f"40001 at {place}", ""]
                assert transaction(new, "INSERT INTO parts VALUES (1)") == f"40001 at {place}"
                assert transaction(new, "INSERT INTO parts VALUES (1)") == ""
                assert transaction(new, "SELECT FROM orders") == ""
            assert number(live) == 4
        assert fault.healed is not None
        assert fault.healed.evidence == {"triggers": "removed", "transactions": 6, "refused": 3}
        assert [transaction(live, WRITE) for _ in range(3)] == ["", "", ""]
    nothing_left(env)


@pytest.mark.parametrize("every", [1, 3])
def test_only_the_table_that_is_named_and_only_every_so_many_th(env: Environment, every: int) -> None:
    """The server's own words, class and hint."""
    with (
        env.chaos.serialization_failures("postgres", table="public.orders", every=every, at="commit"),
        env.postgres.connect() as db,
    ):
        db.execute(WRITE)
        with pytest.raises(psycopg.errors.SerializationFailure, match="read/write dependencies") as refused:
            db.commit()
        assert refused.value.diag.message_hint == "The transaction might succeed if retried."
        db.autocommit = True
        assert transaction(db, "INSERT INTO parts VALUES (1)") == ""
        expected = ["40001 at COMMIT"] * 3 if every == 1 else ["", "", "40001 at COMMIT"]
        assert [transaction(db, WRITE) for _ in range(3)] == expected


def test_a_transaction_that_writes_is_the_victim_of_a_real_deadlock_and_the_next_is_not(env: Environment) -> None:
    """By default one; it is rolled back, repeats, and goes through. Reading is not touched."""
    with env.postgres.connect(autocommit=True) as live, env.postgres.connect(autocommit=True) as other:
        with env.chaos.deadlock("postgres", table="orders") as fault:
            assert fault.evidence["tried"] == "deadlock detected (40P01)"
            assert transaction(other, "INSERT INTO parts VALUES (1)", "SELECT FROM orders") == ""
            with pytest.raises(psycopg.errors.DeadlockDetected, match="deadlock detected") as hurt:
                live.execute(WRITE)
            assert "blocked by process" in (hurt.value.diag.message_detail or "")
            assert [transaction(db, WRITE) for db in (live, other)] == ["", ""]
            assert number(live) == 2
        assert fault.healed is not None
        assert fault.healed.evidence == {"session": "ended", "triggers": "removed", "victims": 1}
    nothing_left(env)


def test_as_many_are_victims_as_are_wanted_of_many_at_once(env: Environment) -> None:
    """One after the other; everybody else goes through."""
    outcomes: list[str] = []

    def work() -> None:
        with env.postgres.connect(autocommit=True) as db:
            outcomes.extend(transaction(db, WRITE) for _ in range(4))

    with env.chaos.deadlock("postgres", victims=3) as fault:
        threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(120)
    assert sorted(outcomes) == [""] * 9 + ["40P01 at 0"] * 3
    assert fault.healed is not None
    assert fault.healed.evidence["victims"] == 3


def test_a_client_that_does_not_wait_so_long_sees_its_own_limit_and_is_not_counted(env: Environment) -> None:
    """The next one is the victim."""
    with env.chaos.deadlock("postgres", table="orders") as fault:
        with env.postgres.connect(autocommit=True, options="-c lock_timeout=200ms") as hasty:
            assert transaction(hasty, WRITE) == "55P03 at 0"
        with env.postgres.connect(autocommit=True) as patient:
            assert transaction(patient, WRITE) == "40P01 at 0"
    assert fault.healed is not None
    assert fault.healed.evidence["victims"] == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_is_said_before_anything_is_touched(env: Environment, fault: str) -> None:
    """Tables by the nearest name, numbers, words; all at once."""
    call = getattr(env.chaos, fault)
    with pytest.raises(ConfigurationError, match="did you mean 'orders'"):
        call("postgres", table="ordres")
    numbers = {"deadlock": "victims", "serialization_failures": "every"}[fault]
    with pytest.raises(ConfigurationError, match=f"--{numbers}: wanted 1 or more, found 0"):
        call("postgres", **{numbers: 0})
    if fault == "serialization_failures":
        with pytest.raises(ConfigurationError, match="--at: wanted one of statement, commit, found 'dawn'"):
            call("postgres", at="dawn")
    with env.postgres.connect(autocommit=True) as db:
        db.execute("DROP TABLE orders, parts")
    with pytest.raises(FaultUnfit, match="has none"):
        call("postgres")
    nothing_left(env)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_that_is_written_to_is_waited_for_and_its_writer_named(env: Environment, fault: str) -> None:
    """Nothing is left of the attempt, and nobody waits."""
    with closing(env.postgres.connect(application_name="reluctant")) as other:
        other.execute(WRITE)
        with pytest.raises(FaultDidNotBite, match="reluctant"):
            getattr(env.chaos, fault)("postgres")
        other.rollback()
    nothing_left(env)


@pytest.mark.parametrize("fault", FAULTS)
def test_two_at_once_on_tables_are_refused(env: Environment, fault: str) -> None:
    """A lock would keep the triggers from going."""
    with getattr(env.chaos, fault)("postgres"), pytest.raises(FaultConflict, match="tables"):
        env.chaos.lock("postgres")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_that_is_dropped_meanwhile_is_nothing_to_heal(env: Environment, fault: str) -> None:
    """Also where it was renamed."""
    with getattr(env.chaos, fault)("postgres"), env.postgres.connect(autocommit=True) as db:
        db.execute("DROP TABLE orders")
        db.execute("ALTER TABLE parts RENAME TO orders")
    nothing_left(env)


@pytest.mark.parametrize("fault", FAULTS)
def test_when_the_injector_is_killed_the_warden_removes_all_of_it(
    env: Environment, injected: Injected, eventually: Eventually, fault: str
) -> None:
    """Until then it is in force."""
    with injected(f"env.chaos.{fault}('postgres').__enter__()") as process:
        with env.postgres.connect(autocommit=True) as db:
            assert transaction(db, WRITE) == f"{CODES[fault]} at 0"
        process.kill()
        process.wait()

        def healed() -> None:
            assert not env.chaos.status()

        eventually(healed)
    nothing_left(env)


@pytest.mark.parametrize(("fault", "stage"), [("deadlock", Stage.LOST), ("serialization_failures", Stage.HEALED)])
def test_after_a_crash_of_the_server_the_triggers_go_and_a_deadlock_is_told_as_lost(
    env: Environment, eventually: Eventually, fault: str, stage: Stage
) -> None:
    """Triggers are data; the session that makes deadlocks is none. Nobody waits for it."""
    hurt = getattr(env.chaos, fault)("postgres", duration="10m")
    site = Ward(env.name).site("postgres")
    site.hands.kill(site.container.id)
    site.hands.start(site.container.id)

    def as_triggers_have_it() -> None:
        try:
            with env.postgres.connect(autocommit=True) as db:
                outcome = transaction(db, WRITE)
        except psycopg.OperationalError as error:
            raise AssertionError(str(error)) from error
        assert outcome == ("40001 at 0" if stage is Stage.HEALED else "")

    eventually(as_triggers_have_it)
    healed = hurt.heal()
    assert healed is not None
    assert healed.stage is stage
    nothing_left(env)

"""PostgreSQL hurt by its own locks and its own snapshots: what real clients see, and what is left."""

from __future__ import annotations

from contextlib import closing, contextmanager
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
CONTAINER = "envctl-{}-postgres-1"

_OURS = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'envctl-%' AND pid <> pg_backend_pid())
  + (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'envctl%')
"""


@pytest.fixture(autouse=True)
def orders(env: Environment) -> Iterator[None]:
    """Two tables, ten rows."""
    with env.postgres.connect(autocommit=True) as db:
        db.execute("CREATE TABLE orders (id int PRIMARY KEY, n int)")
        db.execute("CREATE TABLE parts (id int)")
        db.execute("INSERT INTO orders SELECT i, 0 FROM generate_series(1, 10) i")
    yield
    env.chaos.heal()
    with env.postgres.connect(autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS orders, parts")


@contextmanager
def hasty(env: Environment) -> Iterator[psycopg.Connection[Any]]:
    """A client that waits 100 ms for a lock."""
    with env.postgres.connect(autocommit=True, options="-c lock_timeout=100ms") as db:
        yield db


def admin(env: Environment) -> psycopg.Connection[Any]:
    """The superuser, by psycopg."""
    at = Ward(env.name).site("postgres").at
    assert at.admin is not None
    name, password = at.admin.username, at.admin.password
    return psycopg.connect(host=at.host, port=at.port, user=name, password=password, dbname="app", autocommit=True)


def sqlstate(db: psycopg.Connection[Any], statement: str) -> str:
    """How it went: empty when it did."""
    try:
        db.execute(statement.encode())
    except psycopg.Error as error:
        return error.sqlstate or type(error).__name__
    return ""


def nothing_left(env: Environment) -> None:
    """No session and no object of envctl's is on the server."""

    def look() -> None:
        with closing(admin(env)) as boss:
            if (found := boss.execute(_OURS).fetchone()) != (0,):
                raise NotReady(f"{found}")

    # The server notices a moment later that somebody has hung up.
    until(look, 60, "nothing of envctl's is on the server")


READ, WRITE, SEVENTH = (
    "SELECT FROM orders",
    "UPDATE orders SET n = 1 WHERE id = 1",
    "UPDATE orders SET n = 1 WHERE id = 7",
)
NOWAIT = "SELECT FROM orders WHERE id = 1 FOR UPDATE NOWAIT"


@pytest.mark.parametrize(
    ("parameters", "refused", "taken"),
    [
        ({}, [READ, WRITE, NOWAIT, "INSERT INTO parts VALUES (1)"], []),
        ({"table": "public.orders"}, [READ, WRITE], ["INSERT INTO parts VALUES (1)"]),
        ({"table": "orders", "strength": "exclusive"}, [WRITE, NOWAIT], [READ]),
        ({"table": "orders", "strength": "share"}, [WRITE], [READ]),
        ({"table": "orders", "rows": "orders.id < 3"}, [WRITE, NOWAIT], [READ, SEVENTH]),
        (
            {"table": "orders", "rows": "id = 1", "strength": "for-share"},
            [WRITE],
            ["SELECT FROM orders WHERE id = 1 FOR SHARE NOWAIT", SEVENTH],
        ),
    ],
    ids=lambda word: "-".join(word.values()) if isinstance(word, dict) else "",
)
def test_what_is_locked_is_refused_and_all_else_goes_on(
    env: Environment, parameters: dict[str, str], refused: list[str], taken: list[str]
) -> None:
    """To a live client and to a new one; afterwards everything works and nothing is left."""
    with hasty(env) as live:
        with env.chaos.lock("postgres", **parameters) as fault, hasty(env) as new:
            assert fault.evidence["refused"] == "lock not available (55P03)"
            assert [sqlstate(db, one) for one in refused for db in (live, new)] == ["55P03"] * 2 * len(refused)
            assert [sqlstate(db, one) for one in taken for db in (live, new)] == [""] * 2 * len(taken)
        assert [sqlstate(live, one) for one in (*refused, *taken)] == [""] * len([*refused, *taken])
    nothing_left(env)


def test_who_waits_goes_on_when_it_is_healed(env: Environment) -> None:
    """A client without a limit of its own gets its answer, and one with `statement_timeout` its error."""
    with env.postgres.connect(autocommit=True) as patient:
        with env.chaos.lock("postgres", table="orders"):
            patient.pgconn.send_query(WRITE.encode())
            with env.postgres.connect(autocommit=True, options="-c statement_timeout=100ms") as other:
                assert sqlstate(other, READ) == "57014"
        result = patient.pgconn.get_result()
        assert result is not None
        assert result.command_status == b"UPDATE 1"
        while patient.pgconn.get_result():
            pass


def test_a_lock_waits_for_a_transaction_and_names_it_when_that_does_not_end(env: Environment) -> None:
    """Nothing is left of it, and nobody waits."""
    with closing(env.postgres.connect(application_name="reluctant")) as other:
        other.execute(WRITE.encode())
        with pytest.raises(FaultDidNotBite, match="reluctant"):
            env.chaos.lock("postgres", table="orders")
        nothing_left(env)
        other.rollback()


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"table": "order"}, ConfigurationError, "did you mean 'orders'"),
        ({"table": "nodb.public.orders"}, ConfigurationError, "no database is named 'nodb'"),
        ({"table": "pg_class"}, ConfigurationError, "the server's own"),
        ({"rows": "id = 1"}, ConfigurationError, "--rows: wanted --table"),
        ({"table": "orders", "rows": "nope = 1"}, ConfigurationError, '--rows: .*column "nope" does not exist'),
        ({"table": "orders", "rows": "true); DROP TABLE parts; --"}, ConfigurationError, "--rows: "),
        ({"table": "orders", "rows": "id = 100"}, FaultUnfit, "none has id = 100"),
        ({"table": "orders", "strength": "for-share"}, ConfigurationError, "--strength: wanted those of tables"),
        ({"table": "orders", "strength": "strong"}, ConfigurationError, "--strength: wanted one of access-exclusive"),
    ],
    ids=lambda word: "-".join(word.values()) if isinstance(word, dict) else "",
)
def test_what_cannot_be_locked_is_said_before_anything_is_touched(
    env: Environment, parameters: dict[str, str], error: type[Exception], words: str
) -> None:
    """With the nearest name, the server's own words, or what would go."""
    with pytest.raises(error, match=words):
        env.chaos.lock("postgres", **parameters)
    assert not env.chaos.status()
    nothing_left(env)


def test_two_locks_at_once_are_refused(env: Environment) -> None:
    """One would wait for the other; other faults go beside it."""
    with env.chaos.lock("postgres", table="orders"), env.chaos.hold_vacuum("postgres"):
        with pytest.raises(FaultConflict, match="tables"):
            env.chaos.lock("postgres", table="parts")
        with pytest.raises(FaultConflict, match="vacuum"):
            env.chaos.hold_vacuum("postgres")
    nothing_left(env)


@pytest.mark.parametrize("call", ["lock('postgres', table='orders', hold=True)", "hold_vacuum('postgres', hold=True)"])
def test_when_the_injector_is_killed_the_session_stays_and_the_warden_ends_it(
    env: Environment, injected: Injected, eventually: Eventually, call: str
) -> None:
    """It lives on the server; whose injector is dead, is nobody's."""
    name, _, rest = call.partition("(")
    lines = f"block = env.chaos.{name}({rest.replace(', hold=True', '')}\nblock.__enter__()"
    with injected(lines) as process:
        assert [one.fault for one in env.chaos.status()] == [name.replace("_", "-")]
        process.kill()
        process.wait()

        def healed() -> None:
            assert not env.chaos.status()

        eventually(healed)
    nothing_left(env)
    with hasty(env) as db:
        assert sqlstate(db, WRITE) == ""


def test_a_crash_of_the_server_ends_it_and_is_told(env: Environment, eventually: Eventually) -> None:
    """One killed process ends all sessions: the container runs on, and the fault is lost."""
    fault = env.chaos.lock("postgres", table="orders", duration="10m")
    with closing(admin(env)) as boss:
        [pid] = boss.execute("SELECT pid FROM pg_stat_activity WHERE pid = pg_backend_pid()").fetchone() or [0]
        site = Ward(env.name).site("postgres")
        site.hands.execute(site.container.id, ["sh", "-c", f"kill -KILL {pid}"])

    def answers() -> None:
        try:
            with hasty(env) as db:
                assert sqlstate(db, WRITE) == ""
        except psycopg.OperationalError as error:
            raise AssertionError(str(error)) from error

    eventually(answers)
    healed = fault.heal()
    assert healed is not None
    assert (healed.stage, healed.problem) == (
        Stage.LOST,
        "the server ended all sessions meanwhile, this one with them",
    )
    nothing_left(env)


def test_a_restart_by_somebody_else_is_told_as_lost(env: Environment) -> None:
    """And so is what its snapshot kept."""
    fault = env.chaos.hold_vacuum("postgres", duration="10m")
    site = Ward(env.name).site("postgres")
    site.hands.restart(site.container.id, 30)
    env.wait_recovered("postgres", 120)
    healed = fault.heal()
    assert healed is not None
    assert healed.stage is Stage.LOST
    nothing_left(env)


@pytest.mark.parametrize("fault", ["lock", "hold_vacuum", "slow_commands"])
def test_what_a_stopped_server_has_ended_is_told_as_lost(env: Environment, fault: str) -> None:
    """Somebody stops it by hand: it stays down, and nothing waits for it to come back."""
    hurt = getattr(env.chaos, fault)("postgres", duration="10m")
    site = Ward(env.name).site("postgres")
    site.hands.stop(site.container.id, 30)
    healed = hurt.heal()
    site.hands.start(site.container.id)
    assert healed is not None
    assert healed.stage is Stage.LOST
    env.wait_recovered("postgres", 120)
    nothing_left(env)


def _dead_rows(env: Environment) -> int:
    """How large a table is whose rows were all deleted, after VACUUM."""
    with env.postgres.connect(autocommit=True) as db:
        db.execute("DELETE FROM parts")
        db.execute("VACUUM parts")
        row = db.execute("SELECT pg_relation_size('parts')").fetchone()
    return int(row[0]) if row else 0


@pytest.mark.parametrize("writing", [False, True])
def test_vacuum_removes_nothing_while_it_is_held_and_all_afterwards(env: Environment, writing: bool) -> None:
    """The server says who holds it, since when."""
    with env.postgres.connect(autocommit=True) as db:
        db.execute("INSERT INTO parts SELECT generate_series(1, 1000)")
    with env.chaos.hold_vacuum("postgres", writing=writing) as fault:
        assert _dead_rows(env) > 0
        with closing(admin(env)) as boss:
            held = "SELECT backend_xmin::text, backend_xid::text FROM pg_stat_activity WHERE pid = %s"
            xmin, xid = boss.execute(held, [fault.evidence["pid"]]).fetchone() or (None, None)
        assert (xmin, xid) == (fault.evidence["xmin"], fault.evidence["xid"])
        assert (xid is not None) == writing
    assert fault.healed is not None
    assert fault.healed.evidence == {"session": "ended", "vacuum": "removes what was deleted"}
    assert _dead_rows(env) == 0
    nothing_left(env)

"""A PostgreSQL that lets nobody in, or lets nobody write: what real clients see, and that all is as before."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from envctl.chaos.ward import Ward
from envctl.errors import ConfigurationError, FaultConflict, FaultUnfit
from envctl.journal import Stage

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from envctl.environment import Environment

    Injected = Callable[[str], AbstractContextManager[subprocess.Popen[str]]]
    Eventually = Callable[[Callable[[], object]], None]

SERVICES = ["postgres"]
WRITE = "CREATE TABLE written (); DROP TABLE written"
SETTING = "default_transaction_read_only"


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


def let_in(env: Environment, tries: int) -> tuple[int, str]:
    """How many new clients are let in, and what the next is told."""
    with ExitStack() as made:
        for count in range(tries):
            try:
                made.enter_context(closing(env.postgres.connect()))
            except psycopg.OperationalError as error:
                return count, str(error)
    return tries, ""


def settings(env: Environment) -> str:
    """The file that ALTER SYSTEM writes."""
    site = Ward(env.name).site("postgres")
    done = site.hands.execute(site.container.id, ["sh", "-c", "cat $PGDATA/postgresql.auto.conf"])
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("keep", [0, 3])
def test_new_clients_are_refused_and_live_ones_served(env: Environment, keep: int, eventually: Eventually) -> None:
    """As many as are kept are let in, also a second time; a superuser is let in whatever happens."""
    with env.postgres.connect(autocommit=True) as live:
        with env.chaos.exhaust_connections("postgres", keep=keep) as fault:
            assert fault.evidence["held"] > 50

            def as_many_as_are_kept() -> None:
                # What a superuser had, whose session just ended, is free for a moment.
                count, said = let_in(env, keep + 5)
                assert count == keep
                assert "remaining connection slots are reserved" in said

            for _ in range(2):
                eventually(as_many_as_are_kept)
            assert sqlstate(live, "SELECT 1") == ""
            with closing(admin(env)) as boss:
                assert sqlstate(boss, "SELECT 1") == ""

        def nobody_is_left() -> None:
            assert let_in(env, 20) == (20, "")
            rows = live.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name ~ 'crowd'").fetchone()
            assert rows == (0,)

        eventually(nobody_is_left)


def test_whoever_hangs_up_does_not_come_back_in(env: Environment, eventually: Eventually) -> None:
    """Its place is taken."""
    with closing(env.postgres.connect()) as live, env.chaos.exhaust_connections("postgres"):
        live.close()

        eventually(lambda: _require_full(env))


def test_as_many_as_there_are_cannot_be_kept_and_nothing_goes_beside_it(env: Environment) -> None:
    """With the numbers; other faults are told to come first."""
    with pytest.raises(FaultUnfit, match="no more than"):
        env.chaos.exhaust_connections("postgres", keep=1000)
    with pytest.raises(ConfigurationError, match="--keep"):
        env.chaos.exhaust_connections("postgres", keep=-1)
    with env.chaos.exhaust_connections("postgres"), pytest.raises(FaultConflict):
        env.chaos.exhaust_connections("postgres")


@pytest.mark.parametrize("fault", ["exhaust_connections", "read_only"])
def test_when_the_injector_is_killed_the_warden_heals_it(
    env: Environment, injected: Injected, eventually: Eventually, fault: str
) -> None:
    """Clients come in, and write."""
    before = settings(env)
    with injected(f"env.chaos.{fault}('postgres').__enter__()") as process:
        assert [one.fault for one in env.chaos.status()] == [fault.replace("_", "-")]
        process.kill()
        process.wait()

        def healed() -> None:
            assert not env.chaos.status()

        eventually(healed)
    with env.postgres.connect(autocommit=True) as db:
        assert sqlstate(db, WRITE) == ""
    assert settings(env) == before


def test_a_restart_by_somebody_else_ends_the_crowd_and_is_told(env: Environment, eventually: Eventually) -> None:
    """The server's end is the program's."""
    fault = env.chaos.exhaust_connections("postgres", duration="10m")
    site = Ward(env.name).site("postgres")
    site.hands.restart(site.container.id, 30)

    def open_again() -> None:
        assert let_in(env, 20) == (20, "")

    eventually(open_again)
    healed = fault.heal()
    assert healed is not None
    assert healed.stage is Stage.LOST


@pytest.mark.parametrize("before", [None, "off"])
def test_writes_are_refused_on_live_connections_and_new_ones_and_reads_go_on(
    env: Environment, eventually: Eventually, before: str | None
) -> None:
    """Whether ALTER SYSTEM had set it or not: the file is the same to the byte."""
    with closing(admin(env)) as boss, env.postgres.connect(autocommit=True) as live:
        if before:
            boss.execute(f"ALTER SYSTEM SET {SETTING} = {before}".encode())
        recorded = settings(env)
        try:
            with env.chaos.read_only("postgres") as fault, env.postgres.connect(autocommit=True) as new:
                assert "(25006)" in fault.evidence["live"]
                assert "(25006)" in fault.evidence["new"]
                for db in (live, new):
                    # Each session hears of a reload for itself.
                    eventually(lambda db=db: _require_state(db, "25006"))
                    assert sqlstate(db, "SELECT count(*) FROM pg_class") == ""
                assert sqlstate(new, "BEGIN READ WRITE; CREATE TABLE written (); ROLLBACK") == ""
            assert settings(env) == recorded
            with env.postgres.connect(autocommit=True) as db:
                for one in (live, db):
                    eventually(lambda one=one: _require_state(one, ""))
        finally:
            boss.execute(f"ALTER SYSTEM RESET {SETTING}".encode())


def test_what_a_client_has_set_for_itself_is_its_own(env: Environment) -> None:
    """It writes meanwhile, and it is set afterwards."""
    with env.postgres.connect(autocommit=True) as stubborn, env.postgres.connect(autocommit=True) as careful:
        stubborn.execute(f"SET {SETTING} = off".encode())
        careful.execute(f"SET {SETTING} = on".encode())
        with env.chaos.read_only("postgres"):
            assert sqlstate(stubborn, WRITE) == ""
        assert sqlstate(careful, WRITE) == "25006"


def test_a_setting_that_would_have_the_last_word_is_told(env: Environment) -> None:
    """Nothing is changed."""
    recorded = settings(env)
    with closing(admin(env)) as boss:
        boss.execute(f"ALTER ROLE app SET {SETTING} = off".encode())
        try:
            with pytest.raises(FaultUnfit, match=f"{SETTING} is off by user"):
                env.chaos.read_only("postgres")
        finally:
            boss.execute(f"ALTER ROLE app RESET {SETTING}".encode())
    assert settings(env) == recorded


def test_it_stays_read_only_over_a_crash_and_other_faults_are_healed_in_it(
    env: Environment, eventually: Eventually
) -> None:
    """It is in the server's file; envctl itself writes."""
    recorded = settings(env)
    fault = env.chaos.read_only("postgres", duration="10m")
    with env.chaos.revoke_credentials("postgres"):
        pass
    site = Ward(env.name).site("postgres")
    site.hands.kill(site.container.id)
    site.hands.start(site.container.id)

    def still_read_only() -> None:
        assert let_in(env, 1) == (1, "")
        with env.postgres.connect(autocommit=True) as db:
            assert sqlstate(db, WRITE) == "25006"

    eventually(still_read_only)
    healed = fault.heal()
    assert healed is not None
    assert (healed.stage, healed.evidence["settings"]) == (Stage.HEALED, "equal")
    assert settings(env) == recorded


def _require_state(db: psycopg.Connection[Any], state: str) -> None:
    assert sqlstate(db, WRITE) == state


def _require_full(env: Environment) -> None:
    assert let_in(env, 1)[0] == 0


def test_two_of_a_kind_are_refused_and_different_ones_go_together(env: Environment, eventually: Eventually) -> None:
    """A server that nobody may write to can be full as well."""
    with env.chaos.read_only("postgres"):
        with pytest.raises(FaultConflict, match=SETTING):
            env.chaos.read_only("postgres")
        with env.chaos.exhaust_connections("postgres"):
            eventually(lambda: _require_full(env))
    with env.postgres.connect(autocommit=True) as db:
        assert sqlstate(db, WRITE) == ""

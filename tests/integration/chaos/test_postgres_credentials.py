"""Taking a PostgreSQL role's rights away: live sessions and new ones are refused, and everything is as it was after."""

from __future__ import annotations

import json
import secrets
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from envctl.chaos.ward import Ward
from envctl.errors import ConfigurationError, FaultConflict, FaultUnfit
from envctl.faults.revoke_credentials import RevokeCredentials
from envctl.waiting import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from envctl.environment import Environment

SERVICES = ["postgres"]
PATIENCE = 120.0

SESSION_MODES = ["login", "expiry", "password"]
_RECORD = """
SELECT jsonb_build_array(to_jsonb(a),
  (SELECT jsonb_agg(to_jsonb(s)) FROM pg_db_role_setting s WHERE setrole = a.oid),
  (SELECT jsonb_agg(to_jsonb(m)) FROM pg_auth_members m WHERE a.oid IN (roleid, member)),
  (SELECT jsonb_agg(jsonb_build_array(relname, relacl) ORDER BY relname) FROM pg_class WHERE relname ~ '^shelf'),
  (SELECT jsonb_agg(jsonb_build_array(nspname, nspacl) ORDER BY nspname) FROM pg_namespace),
  (SELECT jsonb_agg(jsonb_build_array(datname, datacl) ORDER BY datname) FROM pg_database))
FROM pg_authid a WHERE rolname = %s
"""


@contextmanager
def admin(env: Environment) -> Iterator[psycopg.Connection[Any]]:
    """The superuser, by psycopg."""
    at = Ward(env.name).site("postgres").at
    assert at.admin is not None
    with psycopg.connect(
        host=at.host, port=at.port, user=at.admin.username, password=at.admin.password, dbname="app", autocommit=True
    ) as db:
        yield db


@pytest.fixture
def shelf(env: Environment) -> Iterator[str]:
    """A table of the tests' own identity, whose access list is empty: the defaults."""
    with env.postgres.connect(autocommit=True) as db:
        db.execute("CREATE TABLE shelf (id int GENERATED ALWAYS AS IDENTITY, book text)")
    yield "shelf"
    with admin(env) as db:
        db.execute("DROP TABLE IF EXISTS shelf, shelf_of_admin")


@pytest.fixture
def reader(env: Environment) -> Iterator[tuple[str, str]]:
    """Another role, and its password."""
    name, password = f"Reader {secrets.token_hex(4)}", secrets.token_hex(8)
    with admin(env) as db:
        db.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}'")
    yield name, password
    with admin(env) as db:
        if record(db, name):
            db.execute(f'DROP OWNED BY "{name}"')
            db.execute(f'DROP ROLE "{name}"')


def record(db: psycopg.Connection[Any], role: str = "app") -> str:
    """All that the server knows of a role, and access lists."""
    row = db.execute(_RECORD, [role]).fetchone()
    return json.dumps(row[0], sort_keys=True) if row else ""


@pytest.mark.parametrize("mode", SESSION_MODES)
def test_a_live_session_is_ended_and_a_new_one_refused_and_all_is_equal_afterwards(env: Environment, mode: str) -> None:
    """The original password works again, and the server's record is the same to the byte."""
    with admin(env) as boss:
        before = record(boss)
        with (
            closing(env.postgres.connect(autocommit=True)) as live,
            env.chaos.revoke_credentials("postgres", mode=mode) as fault,
        ):
            with pytest.raises(psycopg.OperationalError):
                live.execute("SELECT 1")
            with pytest.raises(psycopg.OperationalError, match=r"not permitted|authentication failed"):
                env.postgres.connect()
            assert record(boss) != before
            assert "57P01" in fault.evidence["live"]
        assert fault.healed is not None
        assert fault.healed.evidence == {"record": "equal", "login": "with the original password"}
        assert record(boss) == before
    with env.postgres.connect(autocommit=True) as db:
        db.execute("SELECT 1")


@pytest.mark.parametrize("privilege", ["select", "insert", "update", "delete"])
def test_one_privilege_goes_from_a_live_session_and_the_empty_access_list_is_empty_again(
    env: Environment, shelf: str, privilege: str
) -> None:
    """Everything else is still allowed, and so is the same on other tables."""
    acts = {
        "select": "SELECT FROM shelf",
        "insert": "INSERT INTO shelf (book) VALUES ('one')",
        "update": "UPDATE shelf SET book = 'two'",
        "delete": "DELETE FROM shelf",
    }
    with admin(env) as boss, env.postgres.connect(autocommit=True) as live:
        before = record(boss)
        with (
            env.chaos.revoke_credentials("postgres", privilege=privilege, on=shelf),
            env.postgres.connect(autocommit=True) as new,
        ):
            for name, act in acts.items():
                for db in (live, new):
                    if name == privilege:
                        with pytest.raises(psycopg.errors.InsufficientPrivilege):
                            db.execute(act)
                    else:
                        db.execute(act)
        assert record(boss) == before
        live.execute(acts[privilege])


def test_an_access_list_with_grant_options_and_other_roles_is_the_same_text_again(
    env: Environment, reader: tuple[str, str]
) -> None:
    """GRANT after REVOKE would have changed the order, and lost what was granted on."""
    with admin(env) as boss:
        boss.execute("CREATE TABLE shelf_of_admin (book text)")
        try:
            boss.execute("GRANT SELECT, INSERT ON shelf_of_admin TO app WITH GRANT OPTION")
            boss.execute("GRANT DELETE ON shelf_of_admin TO app")
            with env.postgres.connect(autocommit=True) as app:
                app.execute(f'GRANT INSERT ON shelf_of_admin TO "{reader[0]}"')
            before = record(boss)
            with env.chaos.revoke_credentials("postgres", privilege="insert", on="public.shelf_of_admin"):
                with env.postgres.connect() as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
                    db.execute("INSERT INTO shelf_of_admin VALUES ('x')")
                boss.execute(f'SET ROLE "{reader[0]}"')
                boss.execute("INSERT INTO shelf_of_admin VALUES ('y')")
                boss.execute("RESET ROLE")
            assert record(boss) == before
        finally:
            boss.execute("DROP TABLE shelf_of_admin")


def test_a_grant_that_a_test_makes_meanwhile_stays_and_is_told(
    env: Environment, shelf: str, reader: tuple[str, str]
) -> None:
    """Only what was taken is given back."""
    with admin(env) as boss:
        with env.chaos.revoke_credentials("postgres", privilege="insert", on=shelf) as fault:
            boss.execute(f'GRANT SELECT ON {shelf} TO "{reader[0]}"')
        assert fault.healed is not None
        assert "access list of public.shelf" in fault.healed.evidence["changed_meanwhile"][0]
        boss.execute(f'SET ROLE "{reader[0]}"')
        boss.execute("SELECT FROM shelf")
    with env.postgres.connect(autocommit=True) as db:
        db.execute("INSERT INTO shelf (book) VALUES ('again')")


def test_a_privilege_that_comes_by_another_role_too_is_refused_with_that_role(env: Environment, shelf: str) -> None:
    """Taking it from one list would take nothing."""
    with admin(env) as boss:
        boss.execute(f"GRANT INSERT ON {shelf} TO PUBLIC")
    with pytest.raises(FaultUnfit, match="PUBLIC"):
        env.chaos.revoke_credentials("postgres", privilege="insert", on=shelf)


def test_any_role_by_name_and_nobody_else_is_hurt(env: Environment, reader: tuple[str, str]) -> None:
    """The tests' own identity goes on in its session."""
    name, password = reader
    at = Ward(env.name).site("postgres").at
    theirs: dict[str, Any] = {"host": at.host, "port": at.port, "user": name, "password": password, "dbname": "app"}
    with admin(env) as boss, env.postgres.connect(autocommit=True) as bystander:
        before = record(boss, name)
        with closing(psycopg.connect(**theirs)) as live, env.chaos.revoke_credentials("postgres", user=name):
            with pytest.raises(psycopg.OperationalError):
                live.execute("SELECT 1")
            with pytest.raises(psycopg.OperationalError, match="not permitted"):
                psycopg.connect(**theirs)
            bystander.execute("SELECT 1")
        assert record(boss, name) == before
        psycopg.connect(**theirs).close()


def test_a_pool_that_reconnects_all_the_time_gets_no_session(env: Environment) -> None:
    """Logins are stopped before sessions are ended."""
    import threading

    stop, let_in, refused = threading.Event(), list[bool](), list[bool]()

    def reconnect() -> None:
        while not stop.is_set():
            meanwhile = revoked.is_set()
            try:
                env.postgres.connect().close()
                let_in.append(meanwhile)
            except psycopg.OperationalError:
                refused.append(meanwhile)

    revoked = threading.Event()
    pool = [threading.Thread(target=reconnect, daemon=True) for _ in range(3)]
    for thread in pool:
        thread.start()
    try:
        until(lambda: _require(bool(let_in)), PATIENCE, "the pool works")
        with env.chaos.revoke_credentials("postgres"), admin(env) as boss:
            revoked.set()
            until(lambda: _require(refused.count(True) >= len(pool)), PATIENCE, "the pool is refused")
            count = boss.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'").fetchone()
            assert not any(let_in)
            revoked.clear()
        assert count == (0,)
    finally:
        stop.set()
        for thread in pool:
            thread.join(PATIENCE)


@pytest.mark.parametrize("mode", [*SESSION_MODES, "privilege"])
@pytest.mark.parametrize("steps", range(5))
def test_another_process_heals_it_wherever_the_injector_was_killed(
    env: Environment, shelf: str, mode: str, steps: int
) -> None:
    """After planning, acting, proving, undoing, and proving again; all that is left then is the journal."""
    more = {"privilege": "insert", "on": shelf} if mode == "privilege" else {}
    fault, ward = RevokeCredentials(mode=mode, **more), Ward(env.name)
    with admin(env) as boss:
        before, site = record(boss), ward.site("postgres")
        plan = json.loads(json.dumps(fault.plan(site)))
        for step in (fault.apply, fault.bites, fault.undo, fault.recovered)[:steps]:
            step(site, plan)
        for kept in site.kept.values():
            kept.__exit__(None)
        elsewhere = Ward(env.name).site("postgres")
        fault.undo(elsewhere, plan)
        fault.undo(elsewhere, plan)
        assert fault.recovered(elsewhere, plan)["record"] == "equal"
        assert record(boss) == before


def test_it_ends_with_the_process_that_holds_it_though_that_was_killed(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """A live client's next login works again."""
    with injected("env.chaos.revoke_credentials('postgres', duration='1h').__enter__()") as other:
        with pytest.raises(psycopg.OperationalError):
            env.postgres.connect()
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    env.postgres.connect().close()


def test_a_restart_of_the_server_meanwhile_changes_nothing(env: Environment) -> None:
    """What the fault lives in is the data."""
    with env.chaos.revoke_credentials("postgres", duration="10m") as fault:
        site = Ward(env.name).site("postgres")
        site.hands.restart(site.container.id, 30)

        def refused() -> None:
            try:
                env.postgres.connect().close()
            except psycopg.OperationalError as error:
                _require("not permitted" in str(error), str(error))
                return
            raise AssertionError("app was let in")

        until(refused, PATIENCE, "the server answers again")
    assert fault.healed is not None
    assert fault.healed.stage == "healed"
    env.wait_recovered("postgres")


def test_an_identity_that_the_test_drops_meanwhile_is_lost_with_the_reason(env: Environment) -> None:
    """Nothing is made in its place; `up` provisions it anew."""
    site = Ward(env.name).site("postgres")
    try:
        with env.chaos.revoke_credentials("postgres") as fault, admin(env) as boss:
            boss.execute("ALTER DATABASE app OWNER TO envctl")
            boss.execute("DROP OWNED BY app")
            boss.execute("DROP ROLE app")
        assert fault.healed is not None
        assert fault.healed.stage == "lost"
        assert "role app is gone: somebody dropped it" in fault.healed.problem
    finally:
        site.service.provision(site.at, 60)  # type: ignore[attr-defined]
    env.wait_recovered("postgres")


def test_a_role_that_was_dropped_and_made_anew_is_left_alone(env: Environment, reader: tuple[str, str]) -> None:
    """It is another one, with a password of its own."""
    name, _ = reader
    with admin(env) as boss:
        with env.chaos.revoke_credentials("postgres", user=name) as fault:
            boss.execute(f'DROP ROLE "{name}"')
            boss.execute(f'CREATE ROLE "{name}" NOLOGIN')
            before = record(boss, name)
        assert record(boss, name) == before
    assert fault.healed is not None
    assert "made anew" in fault.healed.problem


def test_a_second_one_on_the_same_identity_is_refused(env: Environment) -> None:
    """Two would restore one another's work."""
    with env.chaos.revoke_credentials("postgres") as fault, pytest.raises(FaultConflict, match=fault.id):
        env.chaos.revoke_credentials("postgres", mode="password")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"mode": "logn"}, ["--mode", "login, privilege, expiry, password", "'logn'"]),
        ({"mode": "privilege"}, ["--privilege", "--on", "found none"]),
        ({"mode": "login", "privilege": "insert", "on": "x"}, ["--privilege: only with", "--on: only with"]),
        ({"privilege": "usage", "on": "database app"}, ["wanted one of create, temporary"]),
    ],
)
def test_impossible_parameters_are_told_all_at_once(
    env: Environment, parameters: dict[str, str], words: list[str]
) -> None:
    """Nothing is changed: exit code 2."""
    with pytest.raises(ConfigurationError) as error:
        env.chaos.revoke_credentials("postgres", **parameters)
    assert all(word in str(error.value) for word in words)
    assert error.value.exit_code == 2
    assert env.chaos.status() == []


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"user": "ap"}, "did you mean 'app'"),
        ({"user": "envctl"}, "envctl's own"),
        ({"user": "pg_monitor"}, "no role is named"),
        ({"privilege": "insert", "on": "shel"}, "did you mean 'shelf'"),
        ({"privilege": "usage", "on": "shelf"}, "a table has select"),
        ({"privilege": "usage", "on": "schema publc"}, "did you mean 'public'"),
    ],
)
def test_what_is_not_there_is_told_with_the_nearest_name(
    env: Environment, shelf: str, parameters: dict[str, str], words: str
) -> None:
    """Nothing is changed: exit code 2."""
    with admin(env) as boss:
        before = record(boss)
        with pytest.raises(FaultUnfit, match=words) as error:
            env.chaos.revoke_credentials("postgres", **parameters)
        assert record(boss) == before
    assert error.value.exit_code == 2
    assert shelf


def _assert(condition: bool) -> None:
    assert condition


def _require(condition: bool, what: str = "not yet") -> None:
    from envctl.protocols import NotReady

    if not condition:
        raise NotReady(what)

"""PostgreSQL as it runs."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import errors

from envctl.protocols import NotReady
from envctl.services.postgres import Postgres
from envctl.waiting import in_parallel, until
from tests.integration.services.conftest import ANSWER, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.integration.services.conftest import Running

POSTGRES = Postgres()


@pytest.fixture(scope="module")
def postgres(running_service: Callable[..., AbstractContextManager[Running]]) -> Iterator[Running]:
    """One server for the module, ready."""
    with running_service(POSTGRES) as server:
        yield server.ready()


def test_it_is_not_ready_while_its_init_server_runs(
    running_service: Callable[..., AbstractContextManager[Running]], tmp_path: Path
) -> None:
    """The server that runs init scripts answers on its socket; neither ping nor the healthcheck is taken in."""
    hold = tmp_path / "hold.sh"
    hold.write_text("until [ -e /tmp/go ]; do sleep 0.05; done\n")
    with running_service(POSTGRES) as server:
        server.docker("compose", "-p", server.project, "down", "-v", "-t", "0")
        server.compose("--profile", "full", "create", "postgres")
        server.docker("cp", str(hold), f"{server.container()}:/docker-entrypoint-initdb.d/hold.sh")
        server.compose("--profile", "full", "up", "-d", "postgres")
        socket_answers(server)
        with pytest.raises(NotReady, match="closed without an answer"):
            POSTGRES.ping(server.at, ANSWER)
        assert not healthcheck_passes(server)
        server.execute("touch", "/tmp/go")  # noqa: S108 - in the container
        server.ready()
        assert healthcheck_passes(server)


def test_it_is_ready_only_as_the_app_identity(
    running_service: Callable[..., AbstractContextManager[Running]],
) -> None:
    """A server that takes administration is not ready before the tests' own login works."""
    with running_service(POSTGRES) as server:
        until(lambda: administration(server), PATIENCE, "administration")
        with pytest.raises(NotReady, match='authentication failed for user "app"'):
            POSTGRES.ping(server.at, ANSWER)
        POSTGRES.provision(server.at, ANSWER)
        POSTGRES.ping(server.at, ANSWER)


def test_provisioning_again_and_at_once_changes_nothing(postgres: Running) -> None:
    """Eight at the same time, on a server that had it already: all succeed, and the login stays."""
    results = in_parallel({str(n): lambda: POSTGRES.provision(postgres.at, 10) for n in range(8)})
    assert set(results.values()) == {None}
    POSTGRES.ping(postgres.at, 1)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE friend",
        "ALTER ROLE app SUPERUSER",
        "ALTER ROLE envctl PASSWORD 'mine'",
        "ALTER SYSTEM SET fsync = off",
        "CHECKPOINT",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/run/secrets/postgres_admin')",
        "SELECT rolpassword FROM pg_authid",
        "DROP DATABASE postgres",
        "CREATE EXTENSION file_fdw",
    ],
)
def test_the_app_cannot_administrate(postgres: Running, statement: str) -> None:
    """What would change the server, or see its secrets, is refused."""
    with (
        POSTGRES.handle(postgres.at).connect(autocommit=True) as db,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        db.execute(statement)


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE public.kept (n int)", "DROP TABLE public.kept"],
        ["CREATE SCHEMA mine", "DROP SCHEMA mine"],
        ["CREATE DATABASE mine", "DROP DATABASE mine"],
        ["CREATE EXTENSION hstore", "DROP EXTENSION hstore"],
        ["ALTER DATABASE app SET timezone = 'UTC'", "ALTER DATABASE app RESET timezone"],
    ],
)
def test_the_app_can_do_what_tests_do(postgres: Running, statements: list[str]) -> None:
    """It owns its database and may make others."""
    with POSTGRES.handle(postgres.at).connect(autocommit=True) as db:
        for statement in statements:
            db.execute(statement)


def test_a_restart_changes_nothing(postgres: Running) -> None:
    """Same address, same login, same data; provisioning again is not needed."""
    with POSTGRES.handle(postgres.at).connect() as db:
        db.execute("CREATE TABLE survivor AS SELECT 42 AS n")
    postgres.restart()
    until(lambda: POSTGRES.ping(postgres.at, 2), PATIENCE, "ready again")
    with POSTGRES.handle(postgres.at).connect() as db:
        assert db.execute("DELETE FROM survivor RETURNING n").fetchone() == (42,)
        db.execute("DROP TABLE survivor")


def test_a_server_that_hangs_costs_no_more_than_the_time_limit(postgres: Running) -> None:
    """Frozen, it keeps accepting connections; the attempt ends nevertheless."""
    postgres.docker("pause", postgres.container())
    try:
        start = time.monotonic()
        with pytest.raises(NotReady, match=r"no answer within 0.3 s"):
            POSTGRES.ping(postgres.at, 0.3)
        assert time.monotonic() - start < ANSWER
    finally:
        postgres.docker("unpause", postgres.container())


def test_a_wrong_password_is_named_but_not_shown(postgres: Running) -> None:
    """The reason says who, and never with what."""
    assert postgres.at.app
    wrong = replace(postgres.at, app=replace(postgres.at.app, password="wr0ng-secret"))
    with pytest.raises(NotReady, match=r"\(28P01\)") as refused:
        POSTGRES.ping(wrong, ANSWER)
    assert "wr0ng-secret" not in str(refused.value)


def test_its_secrets_are_nowhere_to_be_seen(postgres: Running) -> None:
    """Not in what the engine tells, not in the log, not in any process's arguments."""
    seen = json.dumps(postgres.inspect()) + postgres.logs() + postgres.docker("top", postgres.container())
    assert postgres.at.admin
    assert postgres.at.app
    assert postgres.at.admin.password not in seen
    assert postgres.at.app.password not in seen


def test_the_variables_are_true(postgres: Running) -> None:
    """`DATABASE_URL` and the parts that libpq reads lead to the same place."""
    found = POSTGRES.variables(postgres.at)
    parts = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    for options in ({"conninfo": found["DATABASE_URL"]}, {key: found[name] for key, name in parts.items()}):
        with psycopg.connect(**options) as db:
            row = db.execute("SELECT current_user, current_database()").fetchone()
            assert row == ("app", "app")


def test_the_shell_is_psql_as_app(postgres: Running) -> None:
    """With credentials in variables, so in no argument."""
    command, environ = POSTGRES.shell(postgres.at)
    assert postgres.execute(*command, "-Atc", "SELECT current_user", environ=environ).strip() == "app"


def socket_answers(server: Running) -> None:
    """Wait until a server answers inside the container, on its socket."""

    def ask() -> None:
        answer = server.execute("psql", "-U", "envctl", "-d", "app", "-Atqc", "select 1").strip()
        if answer != "1":
            raise NotReady(answer)

    until(ask, PATIENCE, "the init server")


def healthcheck_passes(server: Running) -> bool:
    """Run the container's healthcheck now instead of waiting for its interval."""
    command = server.inspect()["Config"]["Healthcheck"]["Test"][1:]
    return server.execute(*command).strip() == "1"


def administration(server: Running) -> None:
    """One query as the admin identity, by the ping's own means."""
    POSTGRES.ping(replace(server.at, app=server.at.admin), 1)

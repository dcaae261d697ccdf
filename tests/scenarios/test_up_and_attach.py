"""`up` tells the truth, a second `up` attaches, and everybody hears the same about what is there."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.scenarios.program import Said
    from tests.scenarios.scene import Scene


@pytest.fixture(scope="module")
def core(new_scene: Callable[[], AbstractContextManager[Scene]]) -> Iterator[Scene]:
    """PostgreSQL and Redis, brought up once for all tests that only look."""
    with new_scene() as scene:
        yield scene


@pytest.fixture(scope="module")
def first_up(core: Scene) -> Said:
    """What the first `up` said."""
    return core.envctl("up", "--profile", "core", "--json")


def test_up_writes_json_lines_and_ends_with_the_result(first_up: Said) -> None:
    """Every line is an event with a time; the last one is the result with every service."""
    *events, result = first_up.events
    assert all({"at", "event"} <= event.keys() for event in first_up.events)
    assert {event["service"] for event in events if event["event"] == "service.ready"} == {"postgres", "redis"}
    assert result["event"] == "result"
    assert (result["ok"], result["exit_code"], result["attached"], result["state"]) == (True, 0, False, "ready")
    assert result["critical_path"] == ["postgres", "redis"]


@pytest.mark.usefixtures("first_up")
def test_the_addresses_are_those_where_the_services_answer(core: Scene) -> None:
    """The clients of PostgreSQL and Redis log in as the app identity with what `env` hands over."""
    variables = core.envctl("env", "--format", "json").document
    with psycopg.connect(variables["DATABASE_URL"]) as db:
        assert db.execute("select current_user, current_database()").fetchone() == ("app", "app")
    with redis.Redis.from_url(variables["REDIS_URL"]) as client:
        assert client.acl_whoami() == "app"


def test_status_ls_and_env_agree_with_up_and_with_the_engine(core: Scene, first_up: Said) -> None:
    """One truth: the engine's bindings are the ports that every verb names."""
    status = core.envctl("status", "--json").document
    listed = {one["name"]: one for one in core.envctl("ls", "--json").document["environments"]}[core.name]
    variables = core.envctl("env", "--format", "json").document
    bound = {
        service: int(next(iter(container.ports.values()))[0]["HostPort"])
        for service, container in core.containers().items()
    }
    assert status["services"] == first_up.events[-1]["services"]
    assert {name: service["port"] for name, service in status["services"].items()} == bound
    assert {"postgres": int(variables["PGPORT"]), "redis": int(variables["REDIS_PORT"])} == bound
    assert (listed["state"], set(listed["services"])) == ("ready", {"postgres", "redis"})


def test_every_port_is_bound_to_this_machine_alone(core: Scene, first_up: Said) -> None:
    """Nobody on the network can reach a test database."""
    assert first_up.code == 0
    hosts = {b["HostIp"] for c in core.containers().values() for bindings in c.ports.values() for b in bindings}
    assert hosts == {"127.0.0.1"}


@pytest.mark.usefixtures("first_up")
def test_a_second_up_attaches_and_starts_nothing(core: Scene) -> None:
    """The same containers, in the same start, and it says so in both forms."""
    before = {name: container.attrs["State"]["StartedAt"] for name, container in core.containers().items()}
    ids = core.ids()
    assert core.envctl("up", "--profile", "core", "--json").events[-1]["attached"] is True
    assert "attached" in core.envctl("up", "--profile", "core").text
    assert core.ids() == ids
    assert {name: container.attrs["State"]["StartedAt"] for name, container in core.containers().items()} == before


@pytest.mark.usefixtures("first_up")
def test_up_ends_with_a_table_of_true_addresses(core: Scene) -> None:
    """What a person reads is what a program reads."""
    table = core.envctl("up", "--profile", "core").out
    for name, service in core.envctl("status", "--json").document["services"].items():
        assert any(line.split()[:2] == [name, f"127.0.0.1:{service['port']}"] for line in table.splitlines())


@pytest.mark.usefixtures("first_up")
def test_a_shell_evaluates_the_connection_data(core: Scene) -> None:
    """`eval "$(envctl env --format shell)"` works in sh; every other format holds the same values."""
    told = core.envctl("env", "--format", "shell").out
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    script = f"eval {shlex.quote(told)}\n{shlex.quote(sys.executable)} -c {shlex.quote(show)}"
    seen = core.program("sh", "-c", script).finish().document
    variables = core.envctl("env", "--format", "json").document
    assert {name: seen[name] for name in variables} == variables
    with psycopg.connect(
        host=seen["PGHOST"],
        port=int(seen["PGPORT"]),
        user=seen["PGUSER"],
        password=seen["PGPASSWORD"],
        dbname=seen["PGDATABASE"],
    ) as db:
        assert db.execute("select 1").fetchone() == (1,)


@pytest.mark.usefixtures("first_up")
def test_a_pipeline_takes_the_connection_data_over(core: Scene) -> None:
    """`--format github` appends every variable to the job's file and masks the secrets in the job's log."""
    file = core.folder / "github_env"
    file.write_text("EARLIER=1\n")
    said = core.envctl("env", "--format", "github", environ={"GITHUB_ENV": str(file)})
    variables = core.envctl("env", "--format", "json").document
    text = file.read_text()
    assert text.startswith("EARLIER=1\n")
    assert all(name in text and value in text for name, value in variables.items())
    assert f"::add-mask::{variables['PGPASSWORD']}" in said.out.splitlines()


@pytest.mark.usefixtures("first_up")
def test_exec_and_shell_work_inside_the_services(core: Scene) -> None:
    """A command's output and exit code come through; the shell is the service's own client, logged in."""
    assert core.envctl("exec", "redis", "--", "sh", "-c", "echo here; exit 7", exits=7).out == "here\n"
    client = core.start("shell", "postgres")
    assert client.process.stdin
    client.process.stdin.write(b"select current_user;\n")
    client.process.stdin.flush()
    assert "app" in client.finish().out


@pytest.mark.usefixtures("first_up")
def test_logs_are_those_of_the_services(core: Scene) -> None:
    """Merged, named, and as JSON lines."""
    text = core.envctl("logs").out
    assert "database system is ready to accept connections" in text
    assert "Ready to accept connections" in text
    lines = [json.loads(line) for line in core.envctl("logs", "redis", "--json").out.splitlines()]
    assert {line["service"] for line in lines if line["event"] == "log"} == {"redis"}


def test_python_attaches_to_what_the_command_line_made(core: Scene, first_up: Said) -> None:
    """`envctl.attach()` finds the environment, and leaves it when the program ends."""
    assert first_up.code == 0
    program = """
import envctl
env = envctl.attach()
with env.postgres.connect() as db: print(db.execute("select 41 + 1").fetchone()[0])
env.redis.client().set("from", "python")
print(env.name, env.status().state)
"""
    ids = core.ids()
    assert core.python(program).finish().out == f"42\n{core.name} ready\n"
    assert core.ids() == ids

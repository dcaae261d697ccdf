"""Redis as it runs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import redis as client_library
from redis.exceptions import AuthenticationError, NoPermissionError

from envctl.protocols import NotReady
from envctl.services.redis import Redis
from envctl.waiting import until
from tests.integration.services.conftest import ANSWER, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.integration.services.conftest import Running

REDIS = Redis()


@pytest.fixture(scope="module")
def redis(running_service: Callable[..., AbstractContextManager[Running]]) -> Iterator[Running]:
    """One server for the module, ready."""
    with running_service(REDIS) as server:
        yield server.ready()


def test_it_is_not_ready_while_it_loads(redis: Running) -> None:
    """A server that reads a large data set takes connections and logins; ready comes with the data."""
    with (
        REDIS.handle(redis.at).client(socket_timeout=PATIENCE) as client,
        client.pipeline(transaction=False) as pipe,
    ):
        # What takes seconds to be done again, however fast the disk: Redis looks at connections every 1024 commands.
        pipe.sadd("many", *range(200_000))
        for _ in range(40):
            pipe.sunionstore("again", ["many"])
            for key in range(1100):
                pipe.set(key, key)
        pipe.execute()
    reasons = redis.starting()
    with REDIS.handle(redis.at).client() as client:
        assert client.dbsize() == 1102
        client.flushall()
    assert any("LOADING" in reason or "loading" in reason for reason in reasons), reasons


def test_a_wrong_password_is_named_but_not_shown(redis: Running) -> None:
    """The reason says who, and never with what."""
    assert redis.at.app
    wrong = replace(redis.at, app=replace(redis.at.app, password="wr0ng-secret"))
    with pytest.raises(NotReady, match=r"^authentication failed for app$"):
        REDIS.ping(wrong, ANSWER)


def test_nobody_gets_in_without_a_name(redis: Running) -> None:
    """The user `default` is off."""
    with (
        client_library.Redis(host=redis.at.host, port=redis.at.port) as client,
        pytest.raises(AuthenticationError),
    ):
        client.ping()


@pytest.mark.parametrize(
    "command",
    [
        "ACL LIST",
        "ACL SETUSER app +@all",
        "CONFIG GET dir",
        "CONFIG SET appendonly no",
        "CLIENT KILL TYPE normal",
        "CLIENT PAUSE 1000",
        "MONITOR",
        "REPLICAOF 127.0.0.1 1",
        "SAVE",
        "SHUTDOWN NOSAVE",
    ],
)
def test_the_app_cannot_administrate(redis: Running, command: str) -> None:
    """What would change the server or other people's connections is refused."""
    with REDIS.handle(redis.at).client() as client, pytest.raises(NoPermissionError):
        client.execute_command(*command.split())


@pytest.mark.parametrize(
    "command",
    [
        "FLUSHDB",
        "FLUSHALL",
        "KEYS *",
        "INFO",
        "CLIENT SETNAME test",
        "CLIENT ID",
        "CLIENT INFO",
        "CLIENT LIST",
        "CLIENT NO-EVICT on",
        "CLIENT TRACKING off",
        "SCRIPT FLUSH",
        "EVAL return(1) 0",
        "FUNCTION LIST",
        "PUBSUB CHANNELS",
        "PUBLISH channel word",
        "XADD stream * field value",
        "XGROUP CREATE stream2 readers $ MKSTREAM",
        "MODULE LIST",
        "SORT list",
        "SELECT 3",
        "SWAPDB 0 1",
        "ACL WHOAMI",
        "WAIT 0 1",
        "DBSIZE",
        "MEMORY USAGE key",
        "OBJECT HELP",
    ],
)
def test_the_app_can_do_what_tests_do(redis: Running, command: str) -> None:
    """What clients send by themselves and suites use all day is allowed."""
    with REDIS.handle(redis.at).client() as client:
        client.execute_command(*command.split())


def test_transactions_and_pipelines_work_for_the_app(redis: Running) -> None:
    """MULTI, WATCH and EXEC."""
    with REDIS.handle(redis.at).client(decode_responses=True) as client, client.pipeline() as pipe:
        pipe.watch("counter")
        pipe.multi()
        pipe.set("counter", 1).incr("counter")
        assert pipe.execute() == [True, 2]


def test_a_restart_keeps_data_and_address(redis: Running) -> None:
    """Also what a transaction wrote, which Redis forgets if the user `default` has no rights; no new provisioning."""
    with REDIS.handle(redis.at).client() as client, client.pipeline() as pipe:
        client.set("kept", "word")
        pipe.multi()
        pipe.set("kept:too", "words").execute()
    redis.restart()
    until(lambda: REDIS.ping(redis.at, 2), PATIENCE, "ready again")
    with REDIS.handle(redis.at).client(decode_responses=True) as client:
        assert client.mget("kept", "kept:too") == ["word", "words"]


def test_a_server_that_hangs_costs_no_more_than_the_time_limit(redis: Running) -> None:
    """Frozen, it keeps accepting connections; the attempt ends nevertheless."""
    redis.docker("pause", redis.container())
    try:
        with pytest.raises(NotReady, match=r"no answer within 0.3 s"):
            REDIS.ping(redis.at, 0.3)
    finally:
        redis.docker("unpause", redis.container())


def test_the_healthcheck_tells_a_refused_login_from_a_pong(redis: Running) -> None:
    """It passes on a ready server, and fails where the password is wrong, which bare `redis-cli ping` does not."""
    command = redis.inspect()["Config"]["Healthcheck"]["Test"][1]
    passes = "if {} ; then echo passes; else echo fails; fi"
    assert redis.execute("sh", "-c", passes.format(command)).strip() == "passes"
    spoiled = command.replace("$(cat /run/secrets/redis_admin)", "wrong")
    assert spoiled != command
    assert redis.execute("sh", "-c", passes.format(spoiled)).strip().endswith("fails")


def test_its_secrets_are_nowhere_to_be_seen(redis: Running) -> None:
    """Not in what the engine tells, not in the log, not in any process's arguments; the ACL file holds hashes."""
    acl = redis.execute("cat", "/run/secrets/redis_acl")
    assert "user default off" in acl
    seen = acl + json.dumps(redis.inspect()) + redis.logs() + redis.docker("top", redis.container())
    assert redis.at.admin
    assert redis.at.app
    assert redis.at.admin.password not in seen
    assert redis.at.app.password not in seen


def test_the_variables_are_true(redis: Running) -> None:
    """`REDIS_URL` leads there, as app."""
    with client_library.Redis.from_url(REDIS.variables(redis.at)["REDIS_URL"], decode_responses=True) as client:
        assert client.execute_command("ACL", "WHOAMI") == "app"


def test_the_shell_is_redis_cli_as_app(redis: Running) -> None:
    """With credentials in variables, so in no argument."""
    command, environ = REDIS.shell(redis.at)
    assert redis.execute(*command, "acl", "whoami", environ=environ).strip() == "app"

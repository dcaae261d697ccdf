"""Taking a Redis user's rights away: open connections and new ones are refused, and the ACL line is the same after."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

import pytest
import redis
from redis.exceptions import NoPermissionError

from envctl.chaos.ward import Ward
from envctl.errors import ConfigurationError, FaultConflict, FaultUnfit
from envctl.faults.revoke_credentials import RevokeCredentials

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from envctl.environment import Environment

SERVICES = ["redis"]
MODES = ["off", "commands", "password"]


@pytest.fixture
def boss(env: Environment) -> Iterator[redis.Redis]:
    """Envctl's own identity, by redis-py."""
    at = Ward(env.name).site("redis").at
    assert at.admin is not None
    with redis.Redis(
        host=at.host, port=at.port, username=at.admin.username, password=at.admin.password, decode_responses=True
    ) as client:
        yield client


@pytest.fixture
def reader(boss: redis.Redis) -> Iterator[tuple[str, str]]:
    """Another user, with a selector, and its password."""
    name, password = f"reader-{secrets.token_hex(4)}", secrets.token_hex(8)
    rules = ["on", f">{password}", "~a:*", "+@read", "&x", "(~b:* +set +@read)"]
    boss.execute_command("ACL", "SETUSER", name, *rules)  # type: ignore[no-untyped-call]  # its own knows no selectors
    yield name, password
    boss.acl_deluser(name)


def lines(boss: redis.Redis) -> list[str]:
    """All users as the server shows them."""
    return [str(line) for line in boss.acl_list()]


@pytest.mark.parametrize("mode", MODES)
def test_an_open_connection_and_a_new_one_are_refused_and_the_line_is_equal_afterwards(
    env: Environment, boss: redis.Redis, mode: str
) -> None:
    """What a client that retries sees, and one that does not."""
    before = lines(boss)
    with env.redis.client(retry=None) as live:
        live.ping()
        with env.chaos.revoke_credentials("redis", mode=mode) as fault:
            for client in (live, env.redis.client(retry=None)):
                with client, pytest.raises((redis.AuthenticationError, redis.ConnectionError, NoPermissionError)):
                    client.set("a", "b")
            assert lines(boss) != before
            assert set(fault.evidence) >= {"live", "new"}
        assert lines(boss) == before
        assert fault.healed is not None
        assert fault.healed.evidence == {"record": "equal", "login": "with the original password"}
        assert live.set("a", "b")


def test_commands_are_refused_on_the_open_connection_itself(env: Environment) -> None:
    """It is not cut: the same connection is refused, and works again."""
    with env.redis.client(retry=None, single_connection_client=True) as live:
        identity = live.client_id()
        with env.chaos.revoke_credentials("redis", mode="commands"), pytest.raises(NoPermissionError):
            live.client_id()
        assert live.client_id() == identity


@pytest.mark.parametrize(("privilege", "refused", "allowed"), [("@write", "SET", "GET"), ("get", "GET", "SET")])
def test_a_category_or_one_command_goes_and_all_others_stay(
    env: Environment, boss: redis.Redis, privilege: str, refused: str, allowed: str
) -> None:
    """A read-only Redis, say."""
    arguments = {"SET": ("SET", "k", "v"), "GET": ("GET", "k")}
    before = lines(boss)
    with env.redis.client(retry=None) as live:
        with env.chaos.revoke_credentials("redis", privilege=privilege):
            with pytest.raises(NoPermissionError):
                live.execute_command(*arguments[refused])
            live.execute_command(*arguments[allowed])
        live.execute_command(*arguments[refused])
    assert lines(boss) == before


def test_a_subscriber_is_cut_too(env: Environment) -> None:
    """It would otherwise hear on for ever: it sends no command that could be refused."""
    with env.redis.client(retry=None) as live:
        listener = live.pubsub()
        listener.subscribe("news")
        assert listener.get_message(timeout=10) is not None
        with env.chaos.revoke_credentials("redis"), pytest.raises((redis.ConnectionError, redis.AuthenticationError)):
            listener.get_message(timeout=10)
        listener.close()


@pytest.mark.parametrize("mode", MODES)
def test_any_user_by_name_and_nobody_else_is_hurt(
    env: Environment, boss: redis.Redis, reader: tuple[str, str], mode: str
) -> None:
    """Selectors are given back too."""
    name, password = reader
    before, at = lines(boss), Ward(env.name).site("redis").at
    with (
        redis.Redis(host=at.host, port=at.port, username=name, password=password) as live,
        env.redis.client(retry=None, single_connection_client=True) as bystander,
    ):
        live.get("a:1")
        connection = bystander.client_id()
        with env.chaos.revoke_credentials("redis", mode=mode, user=name):
            with pytest.raises((redis.AuthenticationError, redis.ConnectionError, NoPermissionError)):
                live.set("b:1", "x")
            assert bystander.client_id() == connection
        assert lines(boss) == before
        live.set("b:1", "x")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("steps", range(5))
def test_another_process_heals_it_wherever_the_injector_was_killed(
    env: Environment, boss: redis.Redis, mode: str, steps: int
) -> None:
    """After planning, acting, proving, undoing, and proving again; all that is left then is the journal."""
    fault, before = RevokeCredentials(mode=mode), lines(boss)
    site = Ward(env.name).site("redis")
    plan = json.loads(json.dumps(fault.plan(site)))
    for step in (fault.apply, fault.bites, fault.undo, fault.recovered)[:steps]:
        step(site, plan)
    for kept in site.kept.values():
        kept.close()
    elsewhere = Ward(env.name).site("redis")
    fault.undo(elsewhere, plan)
    fault.undo(elsewhere, plan)
    assert fault.recovered(elsewhere, plan)["record"] == "equal"
    assert lines(boss) == before


def test_it_ends_with_the_process_that_holds_it_though_that_was_killed(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """A new login works again."""
    with injected("env.chaos.revoke_credentials('redis', duration='1h').__enter__()") as other:
        with env.redis.client(retry=None) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    with env.redis.client() as client:
        assert client.ping()


def test_a_restart_meanwhile_brings_the_users_of_the_acl_file_back_and_is_healed(
    env: Environment, boss: redis.Redis
) -> None:
    """Users live in the process: there is nothing left to do."""
    before = lines(boss)
    with env.chaos.revoke_credentials("redis") as fault:
        site = Ward(env.name).site("redis")
        site.hands.restart(site.container.id, 10)
    assert fault.healed is not None
    assert fault.healed.stage == "healed"
    env.wait_recovered("redis")
    assert lines(boss) == before


def test_a_user_that_only_the_process_knew_is_lost_with_a_restart(
    env: Environment, boss: redis.Redis, reader: tuple[str, str]
) -> None:
    """Its secret went with it: nobody could make it again."""
    with env.chaos.revoke_credentials("redis", user=reader[0]) as fault:
        site = Ward(env.name).site("redis")
        site.hands.restart(site.container.id, 10)
    assert fault.healed is not None
    assert fault.healed.stage == "lost"
    assert "its ACL file does not name it" in fault.healed.problem
    env.wait_recovered("redis")
    assert reader[0] not in boss.acl_users()


def test_an_identity_that_the_test_deletes_meanwhile_is_lost_with_the_reason(
    env: Environment, boss: redis.Redis
) -> None:
    """Nothing is made in its place."""
    try:
        with env.chaos.revoke_credentials("redis") as fault:
            boss.acl_deluser("app")
        assert fault.healed is not None
        assert fault.healed.stage == "lost"
        assert "user app is gone" in fault.healed.problem
    finally:
        boss.acl_load()
    env.wait_recovered("redis")


def test_a_second_one_on_the_same_identity_is_refused(env: Environment) -> None:
    """Two would restore one another's work."""
    with env.chaos.revoke_credentials("redis") as fault, pytest.raises(FaultConflict, match=fault.id):
        env.chaos.revoke_credentials("redis", mode="password")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"mode": "of"}, ["--mode", "off, commands, password", "'of'"]),
        ({"mode": "off", "privilege": "@write", "on": "x"}, ["--privilege: only with", "--on: only with"]),
        ({"privilege": "-@write +x", "on": "k"}, ["--privilege: wanted", "--on: a command is taken for all keys"]),
    ],
)
def test_impossible_parameters_are_told_all_at_once(
    env: Environment, parameters: dict[str, str], words: list[str]
) -> None:
    """Nothing is changed: exit code 2."""
    with pytest.raises(ConfigurationError) as error:
        env.chaos.revoke_credentials("redis", **parameters)
    assert all(word in str(error.value) for word in words)
    assert error.value.exit_code == 2
    assert env.chaos.status() == []


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"user": "ap"}, "did you mean 'app'"),
        ({"user": "envctl"}, "envctl's own"),
        ({"user": "default"}, "it is off"),
        ({"privilege": "@wrte"}, "did you mean '@write'"),
        ({"privilege": "gett"}, "did you mean 'get'"),
        ({"privilege": "shutdown"}, "it has none"),
    ],
)
def test_what_is_not_there_is_told_with_the_nearest_name(
    env: Environment, boss: redis.Redis, parameters: dict[str, str], words: str
) -> None:
    """Nothing is changed: exit code 2."""
    before = lines(boss)
    with pytest.raises(FaultUnfit, match=words) as error:
        env.chaos.revoke_credentials("redis", **parameters)
    assert lines(boss) == before
    assert error.value.exit_code == 2


def _assert(condition: bool) -> None:
    assert condition

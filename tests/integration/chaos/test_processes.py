"""Kill, stop, restart and crash loop: what clients see, and that the very same service is there afterwards."""

from __future__ import annotations

import secrets
import signal
import time
from typing import TYPE_CHECKING, Any

import docker
import psycopg
import pytest
import redis

import envctl
from envctl.errors import ConfigurationError, FaultConflict, FaultDidNotBite, FaultUnfit

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from envctl.environment import Environment

SERVICES = ["redis", "postgres", "mine"]

_ECHO = "import socket; s = socket.create_server(('', 9000)); [c.sendall(b'hi') for c, _ in iter(s.accept, None)]"


@pytest.fixture(scope="module")
def env(engine: docker.DockerClient, state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Redis, PostgreSQL, and a service of the user's that the engine restarts; as the first of its container it ignores
    SIGTERM.
    """
    del engine, state
    file = tmp_path_factory.mktemp("mine") / "mine.yaml"
    file.write_text(
        f"""services:
  mine:
    image: envctl/tools:1
    command: [python3, -c, "{_ECHO}"]
    ports: ["127.0.0.1::9000"]
    restart: on-failure:7
    stop_grace_period: 1s
    labels: {{envctl.ready.tcp: ":9000"}}
  plain:
    image: envctl/tools:1
    command: [python3, -c, "{_ECHO}"]
    ports: ["127.0.0.1::9000"]
    stop_grace_period: 1s
    labels: {{envctl.ready.tcp: ":9000"}}
"""
    )
    with envctl.up(name=f"chaos-{secrets.token_hex(4)}", services=SERVICES, files=[file], ports="auto") as one:
        yield one


@pytest.fixture
def seen(env: Environment, engine: docker.DockerClient) -> Callable[[str], dict[str, Any]]:
    """What the engine says of a service that must be the same before and after."""

    def look(service: str) -> dict[str, Any]:
        found = engine.api.inspect_container(f"envctl-{env.name}-{service}-1")
        return {key: found[key] for key in ("Id", "HostConfig", "Mounts", "Config", "Created")}

    return look


def state_of(env: Environment, engine: docker.DockerClient, service: str) -> dict[str, Any]:
    """What the engine says of its state."""
    found: dict[str, Any] = engine.api.inspect_container(f"envctl-{env.name}-{service}-1")
    return found["State"]


def test_a_kill_cuts_a_live_client_off_refuses_a_new_one_and_keeps_what_was_acknowledged(
    env: Environment, seen: Callable[[str], dict[str, Any]]
) -> None:
    """The same container, on the same port, with the same data, comes back."""
    before, url = seen("postgres"), env.postgres.url
    with env.postgres.connect() as live:
        live.execute("CREATE TABLE kept AS SELECT 1 AS id")
        live.commit()
        with env.chaos.kill("postgres") as kill:
            assert kill.evidence == {"state": "exited", "exit_code": 137}
            with pytest.raises(psycopg.OperationalError):
                live.execute("SELECT 1")
            with pytest.raises(psycopg.OperationalError):
                env.postgres.connect()
        assert kill.healed
        assert kill.healed.stage == "healed"
    with env.postgres.connect() as again:
        assert again.execute("SELECT id FROM kept").fetchall() == [(1,)]
        again.execute("DROP TABLE kept")
    assert (seen("postgres"), env.postgres.url) == (before, url)


def test_a_kill_is_followed_by_a_restart_where_envctl_is_to_do_it(env: Environment) -> None:
    """The live connection is cut; a new one works as soon as it is healed."""
    live = env.redis.client(retry=None, single_connection_client=True)
    live.ping()
    kill = env.chaos.kill("redis", restarted_by="envctl")
    assert kill.evidence["started_at"] > kill.evidence["before"]
    with pytest.raises(redis.ConnectionError):
        live.ping()
    assert kill.heal().stage == "healed"
    assert live.ping()


def test_the_restart_policy_acts_where_nobody_told_the_engine(env: Environment, engine: docker.DockerClient) -> None:
    """The engine sees a process that died, and counts its restart."""
    before = engine.api.inspect_container(f"envctl-{env.name}-mine-1")["RestartCount"]
    env.chaos.kill("mine", restarted_by="policy").heal()
    after = engine.api.inspect_container(f"envctl-{env.name}-mine-1")["RestartCount"]
    assert after == before + 1


def test_a_policy_that_restarts_nothing_is_told_with_what_to_use(env: Environment) -> None:
    """Nothing is changed."""
    with pytest.raises(FaultUnfit, match=r"restart policy is \"no\".*envctl"):
        env.chaos.kill("redis", restarted_by="policy")
    assert env.chaos.status() == []
    assert env.redis.client().ping()


def test_nobody_restarts_it_though_there_is_a_policy(env: Environment, engine: docker.DockerClient) -> None:
    """The engine takes the kill for a stop by hand; after healing the policy acts again."""
    with env.chaos.kill("mine"):
        assert state_of(env, engine, "mine")["Status"] == "exited"
    restarted = env.chaos.kill("mine", restarted_by="policy")
    assert restarted.heal().stage == "healed"


def test_a_signal_that_the_server_does_not_feel_is_told_and_leaves_it_as_it_was(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis goes on after SIGCONT, on the same connection."""
    from envctl.faults.kill import Kill

    monkeypatch.setattr(Kill, "bites_within", 1.0)
    live = env.redis.client(retry=None)
    live.client_setname("same")
    with pytest.raises(FaultDidNotBite, match="SIGCONT"):
        env.chaos.kill("redis", signal="CONT")
    assert live.client_getname() == "same"
    assert env.chaos.status() == []


@pytest.mark.parametrize("name", ["STOP", "SIGSTOP", str(int(signal.SIGSTOP))])
def test_a_server_that_was_made_to_stand_still_goes_on(env: Environment, name: str) -> None:
    """SIGSTOP, by any of its names: no answer, and afterwards the same connection."""
    live = env.redis.client(retry=None)
    live.client_setname("same")
    with env.chaos.kill("redis", signal=name), pytest.raises(redis.TimeoutError):
        env.redis.client(socket_timeout=0.5, retry=None).ping()
    assert live.client_getname() == "same"


def test_a_server_that_shuts_down_as_soon_as_its_clients_leave_is_brought_back(env: Environment) -> None:
    """PostgreSQL's smart shutdown (SIGTERM) waits for its clients: new ones are refused, the live one is not."""
    with env.postgres.connect() as live:
        live.autocommit = True
        with env.chaos.kill("postgres", signal="TERM") as kill:
            assert "shutting down" in kill.evidence["ping"]
            assert live.execute("SELECT 1").fetchone() == (1,)
            with pytest.raises(psycopg.OperationalError, match="shutting down"):
                env.postgres.connect()
        with env.postgres.connect() as again:
            assert again.execute("SELECT 1").fetchone() == (1,)


def test_a_stop_says_goodbye_and_loses_nothing(env: Environment, seen: Callable[[str], dict[str, Any]]) -> None:
    """PostgreSQL tells its clients; the control beside the kill."""
    before = seen("postgres")
    with env.postgres.connect() as live:
        live.execute("SELECT 1")
        with env.chaos.stop("postgres") as stop:
            assert stop.evidence == {"state": "exited", "exit_code": 0, "in_time": True}
            with pytest.raises(psycopg.errors.AdminShutdown):
                live.execute("SELECT 1")
            with pytest.raises(psycopg.OperationalError):
                env.postgres.connect()
    assert seen("postgres") == before


def test_one_that_does_not_end_in_time_is_killed(env: Environment) -> None:
    """By its own grace period, of a second, and by one that is given."""
    for given in ({}, {"grace": 0}):
        with env.chaos.stop("mine", **given) as stop:
            assert stop.evidence == {"state": "exited", "exit_code": 137, "in_time": False}


@pytest.mark.parametrize("graceful", [True, False])
def test_a_restart_ends_live_connections_and_is_over_when_it_answers(env: Environment, *, graceful: bool) -> None:
    """Data stays, sessions go."""
    live = env.redis.client(retry=None, single_connection_client=True)
    live.set("kept", "1")
    live.client_setname("old")
    restart = env.chaos.restart("redis", graceful=graceful)
    assert restart.heal().stage == "healed"
    with pytest.raises(redis.ConnectionError):
        live.ping()
    assert (live.get("kept"), live.client_getname()) == (b"1", None)


def test_a_crash_loop_goes_on_until_it_is_healed_and_gives_the_policy_back(
    env: Environment, seen: Callable[[str], dict[str, Any]], eventually: Callable[..., None]
) -> None:
    """The engine starts it and it dies; on a service without a policy, and on one with a policy of its own."""
    for service in ("redis", "mine"):
        before = seen(service)
        with env.chaos.crash_loop(service, lives="100ms") as loop:
            assert loop.evidence["restarts"] >= 2
            now = time.time()
            eventually(lambda s=service, t=now: _assert(_deaths(env, s, t) != []))  # type: ignore[misc]
        assert loop.healed
        assert loop.healed.stage == "healed"
        assert seen(service) == before
        now = time.time()
        env.wait_recovered(service)
        assert _deaths(env, service, now) == []


def test_a_container_that_was_made_without_a_policy_has_none_after_a_crash_loop(
    env: Environment, engine: docker.DockerClient
) -> None:
    """The engine knows no way back to a policy without a name; `no` is the same."""
    with env.chaos.crash_loop("plain", lives="100ms") as loop:
        pass
    assert loop.healed
    assert loop.healed.stage == "healed"
    container = engine.containers.get(f"envctl-{env.name}-plain-1")
    assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] in {"", "no"}
    env.wait_recovered("plain")


def test_while_nobody_can_talk_to_it_nothing_else_is_injected(env: Environment) -> None:
    """A stopped service cannot lose its credentials; the refusal names what is in force."""
    with env.chaos.stop("redis") as stop, pytest.raises(FaultConflict, match=stop.id):
        env.chaos.kill("redis")


def test_what_was_revoked_before_the_kill_is_healed_after_it(env: Environment) -> None:
    """Whichever is healed first by name: the server is up before its identity is restored."""
    revoked = env.chaos.revoke_credentials("postgres")
    kill = env.chaos.kill("postgres")
    assert revoked.heal().stage == "healed"
    assert not kill.in_force
    with env.postgres.connect() as again:
        assert again.execute("SELECT 1").fetchone() == (1,)


def test_a_kill_is_healed_though_the_identity_is_still_revoked(env: Environment) -> None:
    """The server answers, if only to envctl: the credentials are another fault's."""
    with env.chaos.revoke_credentials("postgres"):
        with env.chaos.kill("postgres") as kill:
            pass
        assert kill.healed
        assert kill.healed.stage == "healed"
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
            env.postgres.connect()
    with env.postgres.connect() as again:
        assert again.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("fault", "parameters", "named"),
    [
        ("kill", {"signal": "HURT", "restarted_by": "me"}, ["--signal", "--restarted-by"]),
        ("kill", {"signal": "0", "duration": "0s"}, ["--signal", "--for"]),
        ("stop", {"grace": -1, "duration": "-1s"}, ["--grace", "--for"]),
        ("restart", {"grace": "soon", "graceful": "perhaps"}, ["--grace", "--graceful"]),
        ("crash-loop", {"lives": "-1s"}, ["--lives"]),
        ("cpu-starve", {"share": 0}, ["--share"]),
        ("cpu-starve", {"share": "200%", "duration": "2d"}, ["--share", "--for"]),
        ("memory-pressure", {"leave": "-16MiB"}, ["--leave"]),
        ("oom-kill", {"victim": "anybody"}, ["--victim"]),
    ],
)
def test_impossible_parameters_are_told_all_at_once(
    env: Environment, fault: str, parameters: dict[str, Any], named: list[str]
) -> None:
    """As a usage error, and nothing is changed."""
    duration = parameters.pop("duration", "5s")
    with pytest.raises(ConfigurationError) as error:
        env.chaos.call(fault, "redis", parameters, duration=duration)
    assert error.value.exit_code == 2
    assert [option for option in named if option not in str(error.value)] == []
    assert env.chaos.status() == []


def test_one_that_ended_by_itself_meanwhile_runs_after_healing(
    env: Environment, engine: docker.DockerClient, eventually: Callable[..., None]
) -> None:
    """A paused service that somebody killed: healing brings back what it found."""
    with env.chaos.pause("redis") as pause:
        engine.api.kill(f"envctl-{env.name}-redis-1")
        eventually(lambda: _assert(state_of(env, engine, "redis")["Status"] == "exited"))
    assert pause.healed
    assert pause.healed.stage == "healed"
    assert env.redis.client().ping()


def test_one_that_somebody_else_started_again_needs_nothing(env: Environment, engine: docker.DockerClient) -> None:
    """It is healed already; what runs is not touched."""
    with env.chaos.kill("redis"):
        engine.api.start(f"envctl-{env.name}-redis-1")
        started = state_of(env, engine, "redis")["StartedAt"]
    assert state_of(env, engine, "redis")["StartedAt"] == started


def test_a_stop_whose_caller_was_killed_is_healed_when_the_engine_is_through_with_it(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    engine: docker.DockerClient,
    eventually: Callable[..., None],
) -> None:
    """The engine goes on with a stop that nobody waits for: whoever heals must not take the last breath for health."""
    begin = time.time()
    lines = "import threading\nthreading.Thread(target=env.chaos.stop, args=('mine',), kwargs={'grace': 5}).start()"
    with injected(lines) as other:
        eventually(lambda: _assert(bool(_events(env, "mine", "kill", begin)) and env.chaos.status() != []))
        other.kill()
        other.wait()
        [healed] = env.chaos.heal()
    assert healed.stage == "healed"
    assert state_of(env, engine, "mine")["Status"] == "running"
    assert state_of(env, engine, "mine")["StartedAt"] > state_of(env, engine, "mine")["FinishedAt"]


def _deaths(env: Environment, service: str, since: float) -> list[dict[str, Any]]:
    return _events(env, service, "die", since)


def _events(env: Environment, service: str, event: str, since: float) -> list[dict[str, Any]]:
    """Those since then; the engine forgets all but the last 256, of whatever container."""
    filters = {"container": f"envctl-{env.name}-{service}-1", "event": event}
    client = docker.from_env()
    try:
        begin: Any = since
        end: Any = time.time()
        return list(client.api.events(since=begin, until=end, filters=filters, decode=True))
    finally:
        client.close()


def _assert(condition: bool) -> None:
    assert condition

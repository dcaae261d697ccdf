"""Processor, memory and descriptors taken away: measured by clients, and given back as the numbers that they were."""

from __future__ import annotations

import os
import secrets
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import redis

import envctl
from envctl.errors import FaultConflict, FaultUnfit
from tests.scenarios.engine_door import Door

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import docker

    from envctl.environment import Environment

SERVICES = ["redis", "postgres"]
FAULTS = ["cpu-starve", "memory-pressure", "exhaust-descriptors", "oom-kill"]
MIB = 1 << 20

pytestmark = pytest.mark.usefixtures("same_as_before")


@pytest.fixture
def numbers(env: Environment, engine: docker.DockerClient) -> Callable[[str], dict[str, Any]]:
    """The engine's settings of a service, all limits of its control groups, and the descriptors of its processes."""

    def look(service: str) -> dict[str, Any]:
        found = engine.api.inspect_container(f"envctl-{env.name}-{service}-1")
        pid = found["State"]["Pid"]
        processes = _family(pid, engine.api.top(found["Id"], "-eo pid,ppid")["Processes"])
        return {
            "id": found["Id"],
            "host": found["HostConfig"],
            "ports": found["NetworkSettings"]["Ports"],
            "groups": _limits(pid),
            "files": {_files(one) for one in processes} - {""},
            "scores": {_read(f"/proc/{one}/oom_score_adj") for one in processes} - {""},
        }

    return look


@pytest.fixture
def same_as_before(env: Environment, numbers: Callable[[str], dict[str, Any]]) -> Any:  # noqa: ANN401 - a generator
    """Every test leaves every number as it found it."""
    before = {service: numbers(service) for service in SERVICES}
    yield
    env.chaos.heal()
    assert {service: numbers(service) for service in SERVICES} == before


def test_a_starved_server_takes_many_times_as_long_for_the_same_work(
    env: Environment, eventually: Callable[..., None]
) -> None:
    """PostgreSQL counts; the same session before, meanwhile and after; a new one gets in, too."""
    with env.postgres.connect() as live:
        live.autocommit = True

        def took() -> float:
            clock = time.monotonic()
            live.execute("SELECT sum(n) FROM generate_series(1, 1000000) n")
            return time.monotonic() - clock

        before = min(took() for _ in range(5))  # what it needs, and not what it waits for others
        with env.chaos.cpu_starve("postgres", share="5%", duration="5m") as starve:
            assert starve.evidence["throttled"] >= 3
            assert starve.evidence["cpu_ms"] < starve.evidence["ms"] / 4
            meanwhile = took()
            with env.postgres.connect() as new:
                assert new.execute("SELECT 1").fetchone() == (1,)
        assert meanwhile > 4 * before
        eventually(lambda: _less(took(), meanwhile / 2))


def test_less_than_nothing_cannot_be_left(env: Environment, engine: docker.DockerClient) -> None:
    """A service that has less already is not given more: the fault is refused."""
    name = f"envctl-{env.name}-redis-1"
    with env.chaos.cpu_starve("redis", share=5), pytest.raises(FaultConflict):
        env.chaos.cpu_starve("redis", share=3)
    with pytest.raises(FaultUnfit, match="--leave"):
        env.chaos.memory_pressure("redis", leave="10GiB")
    assert engine.api.inspect_container(name)["State"]["Running"]


def test_under_pressure_small_requests_are_answered_and_large_ones_wait_until_it_is_healed(env: Environment) -> None:
    """Redis takes a word and not 200 MiB; nothing is killed, and the large request is done afterwards."""
    live, large = (env.redis.client(socket_timeout=60, retry=None) for _ in range(2))
    with ThreadPoolExecutor(1) as pool:
        with env.chaos.memory_pressure("redis", leave="32MiB", duration="5m") as pressure:
            assert pressure.evidence["left"] <= 64 * MIB
            assert live.set("small", "1")
            writing = pool.submit(large.setrange, "large", 200 * MIB - 1, "x")
            assert not _done_within(writing, 3)
        assert pressure.healed
        assert pressure.healed.stage == "healed"
        assert writing.result(60)
    assert live.strlen("large") == 200 * MIB
    live.delete("large", "small")


def test_the_kernel_really_kills(env: Environment, engine: docker.DockerClient) -> None:
    """Redis is its container's only process: connections are cut, the engine says OOMKilled, and healing starts it."""
    live = env.redis.client(retry=None, single_connection_client=True, socket_timeout=60)
    live.set("kept", "1")
    assert live.waitaof(1, 0, 30_000)
    with env.chaos.oom_kill("redis") as kill:
        assert kill.evidence["victim"]["name"] == "redis-server"
        assert kill.evidence["engine_says_oom_killed"]
        state = engine.api.inspect_container(f"envctl-{env.name}-redis-1")["State"]
        assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)
        with pytest.raises(redis.ConnectionError):
            live.ping()
    assert live.getdel("kept") == b"1"


def test_a_backend_that_uses_the_most_memory_is_the_victim_and_all_sessions_end(env: Environment) -> None:
    """PostgreSQL's container runs on: the server resets itself, and says so to the bystander."""
    with env.postgres.connect() as greedy, env.postgres.connect() as bystander:
        greedy.execute("SELECT array_agg(repeat('x', 1000)) FROM generate_series(1, 1)")
        greedy.execute("SET work_mem = '512MB'")
        greedy.execute("CREATE TEMPORARY TABLE big AS SELECT repeat('x', 1000) FROM generate_series(1, 200000)")
        greedy.execute("DECLARE held CURSOR FOR SELECT * FROM big ORDER BY 1")
        greedy.execute("FETCH 1 FROM held")
        bystander.execute("SELECT 1")
        with env.chaos.oom_kill("postgres") as kill:
            assert kill.evidence["oom_kills"] >= 1
            assert kill.evidence["victim"]["bytes"] > 100 * MIB
            for session in (greedy, bystander):
                with pytest.raises(psycopg.OperationalError):
                    session.execute("SELECT 1")
    with env.postgres.connect() as again:
        assert again.execute("SELECT 1").fetchone() == (1,)


def test_the_main_process_can_be_the_victim(env: Environment) -> None:
    """Then the container ends, whatever else runs in it."""
    with env.chaos.oom_kill("postgres", victim="main"), pytest.raises(psycopg.OperationalError):
        env.postgres.connect()


def test_without_descriptors_live_clients_go_on_and_new_ones_get_nothing(env: Environment) -> None:
    """Redis accepts nobody; afterwards even the one that waits is served."""
    live, new = (env.redis.client(socket_timeout=t, retry=None) for t in (30, 2))
    live.set("live", "1")
    with env.chaos.exhaust_descriptors("redis"):
        assert live.getdel("live") == b"1"
        with pytest.raises(redis.TimeoutError):
            new.ping()
    assert new.ping()


def test_processes_that_were_forked_meanwhile_get_their_descriptors_back_too(
    env: Environment, engine: docker.DockerClient, eventually: Callable[..., None]
) -> None:
    """A launcher that PostgreSQL starts anew has the limit of the process that forked it, until it is healed."""
    with env.postgres.connect() as live:
        live.execute("SELECT 1")
        with env.chaos.exhaust_descriptors("postgres") as exhausted:
            assert exhausted.evidence["processes"] > 1
            first = _process(engine, f"envctl-{env.name}-postgres-1", "autovacuum launcher")
            os.kill(first, signal.SIGTERM)
            eventually(lambda: _new(_process(engine, f"envctl-{env.name}-postgres-1", "autovacuum launcher"), first))
            forked = _process(engine, f"envctl-{env.name}-postgres-1", "autovacuum launcher")
            assert int(_files(str(forked)).split()[0]) < 100
            with pytest.raises(psycopg.OperationalError):
                env.postgres.connect(connect_timeout=2)
        assert live.execute("SELECT 1").fetchone() == (1,)
        limit = _files(str(_process(engine, f"envctl-{env.name}-postgres-1", "autovacuum launcher")))
        assert int(limit.split()[0]) > 1000


@pytest.mark.parametrize("fault", FAULTS)
def test_whoever_is_killed_another_process_heals(
    env: Environment, fault: str, injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]]
) -> None:
    """The limits are in the journal."""
    with injected(f"env.chaos.call({fault!r}, 'redis', {{}}, duration='1h')") as other:
        other.kill()
        other.wait()
        [entry] = env.chaos.status()
        [healed] = env.chaos.heal(entry.id)
    assert healed.stage == "healed"


def test_a_restart_by_somebody_else_takes_the_limits_along(env: Environment, engine: docker.DockerClient) -> None:
    """The engine makes new groups with the service's own limits: the fault is lost, and said to be."""
    for fault in ("cpu-starve", "memory-pressure", "exhaust-descriptors"):
        with env.chaos.call(fault, "redis", {}) as lost:
            engine.api.restart(f"envctl-{env.name}-redis-1", timeout=5)
        assert lost.healed
        assert (lost.healed.stage, "started anew" in lost.healed.problem) == ("lost", True)
        env.wait_recovered("redis")


@pytest.mark.parametrize("fault", ["cpu-starve", "memory-pressure", "exhaust-descriptors"])
def test_one_that_is_killed_meanwhile_runs_again_with_its_own_limits(
    env: Environment, engine: docker.DockerClient, fault: str
) -> None:
    """Healing brings back what it found: a service that runs."""
    with env.chaos.call(fault, "redis", {}) as hurt:
        engine.api.kill(f"envctl-{env.name}-redis-1")
    assert hurt.healed
    assert hurt.healed.stage == "healed"


def test_limits_come_back_by_themselves_when_everybody_who_could_heal_is_dead(
    env: Environment,
    numbers: Callable[[str], dict[str, Any]],
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
    state: Path,
) -> None:
    """Injector and warden are killed: ten seconds after its time a child in the surgeon gives them back."""
    before = numbers("redis")
    with injected("env.chaos.cpu_starve('redis', duration='4s')") as other:
        warden = int((state / "envctl" / env.name / "faults" / "warden.lock").read_text())
        for process in (warden, other.pid):
            os.kill(process, signal.SIGKILL)
        assert numbers("redis") != before
        eventually(lambda: _equal(numbers("redis"), before))
    assert [entry.fault for entry in env.chaos.status()] == ["cpu-starve"]
    [healed] = env.chaos.heal()
    assert healed.stage == "healed"


@pytest.mark.parametrize("fault", FAULTS)
def test_healing_waits_for_an_engine_that_restarts(
    env: Environment,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., None],
) -> None:
    """Whoever heals finds no engine, goes on asking, and heals when it is there again."""
    door = Door(tmp_path / "engine.sock")
    door.open()
    monkeypatch.setenv("DOCKER_HOST", door.url)
    hurt = envctl.attach(env.name).chaos.call(fault, "redis", {})
    monkeypatch.delenv("DOCKER_HOST")
    door.shut()
    with ThreadPoolExecutor(1) as pool:
        healing = pool.submit(hurt.heal)
        eventually(lambda: _equal(_history(env, hurt.id)[-1]["event"], "fault.healing"))
        assert not _done_within(healing, 1)
        door.open()
        assert healing.result(120).stage == "healed"
    door.shut()


def test_two_injectors_at_once_leave_one_fault(env: Environment) -> None:
    """The second is told of the first."""

    def inject(_: int) -> str:
        try:
            return envctl.attach(env.name).chaos.cpu_starve("redis").id
        except FaultConflict:
            return ""

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(inject, range(4)))
    assert [entry.id for entry in env.chaos.status()] == [one for one in ids if one]
    assert len([one for one in ids if one]) == 1


def test_an_environment_that_is_torn_down_takes_everything_along(
    engine: docker.DockerClient, state: Path, eventually: Callable[..., None]
) -> None:
    """With a loop, a limit and a pause in force: no surgeon, no child of it, no group, no warden is left."""
    del state
    name = f"chaos-{secrets.token_hex(4)}"
    with envctl.up(name=name, services=["redis", "minio", "postgres"], ports="auto") as env:
        env.chaos.crash_loop("redis")
        env.chaos.cpu_starve("minio")
        env.chaos.memory_pressure("postgres")
        tokens = [entry.plan["token"] for entry in env.chaos.status()]
        assert all(_processes_named(token) for token in tokens)
        containers = engine.api.containers(all=True, filters={"label": f"envctl.environment={name}"})
        assert len(containers) == 4
        env.down()
    assert engine.api.containers(all=True, filters={"label": f"envctl.environment={name}"}) == []
    eventually(lambda: _equal([_processes_named(token) for token in tokens], [[]] * 3))
    assert [path for one in containers for path in Path("/sys/fs/cgroup").glob(f"**/{one['Id']}")] == []
    eventually(lambda: _equal(_processes_with(f"--environment\0{name}"), []))


def _history(env: Environment, fault: str) -> list[dict[str, Any]]:
    return [line for line in env.chaos.history() if line["id"] == fault]


def _family(main: int, processes: list[list[str]]) -> set[str]:
    """The main process and its descendants. What the engine has just put into the container, to look at its health, has
    the engine's own numbers for a moment.
    """
    found = {str(main)}
    for _ in processes:
        found |= {pid for pid, parent in processes if parent in found}
    return found


def _limits(pid: int) -> dict[str, str]:
    """Every limit of its groups that can be written, of the processor and of memory."""
    found = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if set(names.split(",")) & {"cpu", "memory", ""}:
            folder = Path("/sys/fs/cgroup", names, path.lstrip("/"))
            files = [*folder.glob("cpu.cfs_*_us"), *folder.glob("*limit_in_bytes"), *folder.glob("memory.swappiness")]
            files += [*folder.glob("cpu.max"), *folder.glob("memory.max"), *folder.glob("memory.high")]
            files += [*folder.glob("cpu.shares"), *folder.glob("memory.oom_control")]
            found |= {file.name: file.read_text().partition("\n")[0] for file in files}
    return found


def _files(pid: str) -> str:
    lines = _read(f"/proc/{pid}/limits").splitlines()
    return next((" ".join(line.split()[3:5]) for line in lines if line.startswith("Max open files")), "")


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _processes_with(word: str) -> list[str]:
    found = ((path.parent.name, _read(str(path))) for path in Path("/proc").glob("[0-9]*/cmdline"))
    return [pid for pid, line in found if word in line]


def _processes_named(token: str) -> list[str]:
    """Children in the surgeon wear their token as their name, of which the kernel keeps 15 bytes."""
    found = ((path.parent.name, _read(str(path))) for path in Path("/proc").glob("[0-9]*/comm"))
    return [pid for pid, name in found if name.strip() == f"e-{token}"[:15]]


def _done_within(future: Any, seconds: float) -> bool:  # noqa: ANN401 - concurrent.futures' own
    try:
        future.result(seconds)
    except TimeoutError:
        return False
    return True


def _process(engine: docker.DockerClient, container: str, title: str) -> int:
    """The process of a container with that title, as this machine counts; 0 without one."""
    rows = engine.api.top(container, "-eo pid,args")["Processes"]
    return next((int(row[0]) for row in rows if title in row[1]), 0)


def _new(pid: int, before: int) -> None:
    assert pid not in {0, before}


def _less(found: float, wanted: float) -> None:
    assert found < wanted


def _equal(found: object, wanted: object) -> None:
    assert found == wanted

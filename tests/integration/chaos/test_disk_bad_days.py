"""What goes wrong around a disk fault: its tracer, its injector, its container or its environment goes meanwhile."""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

import envctl
from envctl.catalog import SERVICES
from envctl.errors import ConfigurationError, FaultConflict
from envctl.faults.disk_full import DiskFull

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import docker

    from envctl.environment import Environment

SERVICES_ = SERVICES
SERVICES = ["postgres", "redis"]
NEW_FILE = "CREATE TABLE made (x int); DROP TABLE made"

TRACERS = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        words = open(f"/proc/{pid}/cmdline").read().split("\\0")
    except OSError:
        continue
    if words[0] == "envctl-syscalls":
        print(pid, words[1])
"""

DIES = """
import os
from envctl.engine import owner
from envctl.engine.hands import Hands
spawn = Hands.spawn
def order(*arguments):
    spawn(*arguments)
    os.kill(os.getpid(), 9)
Hands.spawn = order
env.chaos.call("disk-full", "postgres", {}, duration="1h", holder=owner.this_process())
"""


def test_a_tracer_that_is_killed_leaves_its_service_unhurt(env: Environment, engine: docker.DockerClient) -> None:
    """The kernel lets go of every thread; the fault is healed as if nothing had been."""
    with env.postgres.connect(autocommit=True) as live:
        full = env.chaos.disk_full("postgres")
        assert _kill_tracer(env, engine) == 1
        live.execute(NEW_FILE)
        healed = full.heal()
    assert healed.stage == "healed"
    assert (healed.evidence["traced"], healed.evidence["restarted"]) == (0, False)


def test_a_tracer_that_is_killed_again_and_again_under_load_fails_no_call(
    env: Environment, engine: docker.DockerClient
) -> None:
    """It holds calls back and dies with some of them in its hands: each goes through, once, and no thread stands."""
    with _load(env) as problems:
        for _ in range(5):
            slow = env.chaos.slow_disk("postgres", latency="20ms", operations="all")
            assert _kill_tracer(env, engine) == 1
            assert slow.heal().evidence["traced"] == 0
    assert problems == []


def test_it_ends_with_the_process_that_holds_it_though_that_was_killed(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    """The warden heals it: the tracer is gone, and files can be made."""
    with injected("env.chaos.disk_full('postgres', duration='1h').__enter__()") as other:
        [entry] = env.chaos.status()
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    assert [line["event"] for line in env.chaos.history() if line["id"] == entry.id][-1] == "fault.healed"
    with env.postgres.connect(autocommit=True) as new:
        new.execute(NEW_FILE)


def test_an_injector_that_is_killed_while_it_starts_the_tracer_leaves_none(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    engine: docker.DockerClient,
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    """The tracer is ordered; whether it has begun when the warden comes or begins after it, it ends."""
    with pytest.raises(AssertionError), injected(DIES):
        pass
    eventually(lambda: _assert(env.chaos.status() == []))
    eventually(lambda: _assert(_tracers(env, engine) == []))
    with env.postgres.connect(autocommit=True) as new:
        new.execute(NEW_FILE)


def test_a_restart_meanwhile_makes_it_lost(env: Environment, engine: docker.DockerClient) -> None:
    """Whoever restarts a service ends what lived in its processes."""
    full = env.chaos.disk_full("redis")
    engine.containers.get(f"envctl-{env.name}-redis-1").restart(timeout=5)
    healed = full.heal()
    assert healed.stage == "lost"
    assert "started anew" in healed.problem
    env.wait_recovered("redis", timeout=120)
    assert env.redis.client().set("test:after", "1")
    env.redis.client().delete("test:after")
    assert _tracers(env, engine) == []


def test_a_server_that_is_killed_meanwhile_is_started_again(env: Environment, engine: docker.DockerClient) -> None:
    """The target dies by itself during the fault."""
    with env.chaos.slow_disk("postgres") as slow:
        engine.containers.get(f"envctl-{env.name}-postgres-1").kill()
    assert slow.healed
    assert slow.healed.evidence["restarted"]
    with env.postgres.connect(autocommit=True) as new:
        new.execute(NEW_FILE)


def test_the_tracer_ends_by_itself_when_nobody_heals(
    env: Environment, engine: docker.DockerClient, eventually: Callable[[Callable[[], object]], None]
) -> None:
    """It has a time limit of its own, in SIGALRM; and the healer finds nothing left to do."""
    full = env.chaos.disk_full("redis", duration="1h")
    [tracer] = _tracers(env, engine)
    surgeon = engine.containers.get(f"envctl-{env.name}-surgeon")
    assert surgeon.exec_run(["sh", "-c", f"kill -ALRM {tracer.split()[0]}"]).exit_code == 0
    eventually(lambda: _assert(_tracers(env, engine) == []))
    assert full.in_force
    assert full.heal().stage == "healed"


def test_an_environment_is_torn_down_with_a_disk_fault_in_force(engine: docker.DockerClient, state: object) -> None:
    """The tracer goes with the rest."""
    del state
    with envctl.up(name=f"chaos-{secrets.token_hex(4)}", services=["redis"], ports="auto") as one:
        one.chaos.disk_full("redis", duration="1h")
        assert len(_tracers(one, engine)) == 1
        ledger = _tracers(one, engine)[0].split()[1]
    assert not [line for line in _everywhere(engine) if ledger in line]


def test_a_second_disk_fault_is_refused_and_another_service_is_free(env: Environment) -> None:
    """A process can be traced by one alone."""
    with env.chaos.disk_full("postgres") as full:
        with pytest.raises(FaultConflict, match=full.id):
            env.chaos.slow_disk("postgres")
        with env.chaos.slow_disk("redis"):
            pass


def test_what_cannot_be_is_told_at_once_and_changes_nothing(env: Environment, engine: docker.DockerClient) -> None:
    """Every parameter, and exit code 2."""
    with pytest.raises(ConfigurationError) as refused:
        env.chaos.slow_disk("redis", latency="soon", operations="some")
    assert [problem.key for problem in refused.value.problems] == ["--latency", "--operations"]
    assert refused.value.exit_code == 2
    with pytest.raises(ConfigurationError, match="1ms to 10s"):
        env.chaos.slow_disk("redis", latency="11s")
    with pytest.raises(ConfigurationError, match="growth, writes"):
        env.chaos.disk_full("redis", refuse="all")
    assert env.chaos.status() == []
    assert _tracers(env, engine) == []


def test_a_service_without_data_says_so() -> None:
    """Spark Connect stores its tables in MinIO."""
    assert "keeps no data" in DiskFull.unfit(SERVICES_["spark-connect"])


@contextmanager
def _load(env: Environment) -> Iterator[list[str]]:
    """Two clients that commit all the time; what they complain of."""
    problems: list[str] = []
    over = threading.Event()

    def work() -> None:
        try:
            with env.postgres.connect(autocommit=True) as client:
                client.execute("CREATE TEMPORARY TABLE mine (x int)")
                acknowledged = 0
                while not over.is_set():
                    client.execute("WITH new AS (INSERT INTO everybodys VALUES (1)) INSERT INTO mine VALUES (1)")
                    acknowledged += 1
                [(count,)] = client.execute("SELECT count(*) FROM mine").fetchall()
                if count != acknowledged:
                    problems.append(f"{count} rows of {acknowledged}")
        except psycopg.Error as error:
            problems.append(str(error))

    with env.postgres.connect(autocommit=True) as client:
        client.execute("CREATE TABLE everybodys (x int)")
    workers = [threading.Thread(target=work, daemon=True) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        yield problems
    finally:
        over.set()
        for worker in workers:
            worker.join(120)
        with env.postgres.connect(autocommit=True) as client:
            client.execute("DROP TABLE everybodys")


def _kill_tracer(env: Environment, engine: docker.DockerClient) -> int:
    """SIGKILL it; how many there were."""
    found = _tracers(env, engine)
    surgeon = engine.containers.get(f"envctl-{env.name}-surgeon")
    for line in found:
        surgeon.exec_run(["sh", "-c", f"kill -9 {line.split()[0]}"])
    return len(found)


def _tracers(env: Environment, engine: docker.DockerClient) -> list[str]:
    """`pid ledger` of each that this environment's surgeon runs."""
    surgeon = engine.containers.get(f"envctl-{env.name}-surgeon")
    return [
        line
        for line in _said(surgeon.exec_run(["python3", "-c", TRACERS]).output.decode())
        if surgeon.exec_run(["test", "-e", line.split()[1]]).exit_code == 0
    ]


def _everywhere(engine: docker.DockerClient) -> list[str]:
    """`pid ledger` of each on the engine's machine."""
    said = engine.containers.run("envctl/tools:1", ["python3", "-c", TRACERS], pid_mode="host", remove=True)
    return _said(said.decode())


def _said(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def _assert(condition: bool) -> None:
    assert condition

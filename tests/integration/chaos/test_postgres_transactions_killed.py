"""The process that wanted to kill PostgreSQL is killed itself: nothing of it stays, and nobody waits for it."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from envctl.chaos.ward import Ward
from envctl.protocols import NotReady
from envctl.services.postgres.chaos import bounded
from envctl.services.postgres.chaos.killing import death
from envctl.services.postgres.chaos.sessions import answering, connect
from envctl.services.postgres.chaos.watching import GLANCE, THAW, attempt, program
from envctl.waiting import pause

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import docker

    from envctl.environment import Environment

    Elsewhere = Callable[[str], AbstractContextManager[subprocess.Popen[str]]]
    Eventually = Callable[[Callable[[], object]], None]

SERVICES = ["postgres"]


@pytest.fixture(autouse=True)
def table(env: Environment) -> Iterator[None]:
    """An empty table; nothing of a gate is left in it."""
    env.wait_recovered("postgres", timeout=120)
    with env.postgres.connect(autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS orders; CREATE TABLE orders (id integer)")
    yield
    env.wait_recovered("postgres", timeout=120)
    with env.postgres.connect() as db:
        assert db.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'envctl%'").fetchall() == []
        assert db.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal").fetchall() == []
        assert db.execute("SHOW synchronous_standby_names").fetchone() == ("",)
        assert db.execute("SHOW synchronous_commit").fetchone() == ("on",)


@pytest.mark.parametrize(
    "aim", ["table='orders'", "table='orders', at='commit'", "table='orders', at='in-doubt'", "at='in-doubt'"]
)
def test_killed_while_it_waits_for_a_victim(
    env: Environment, injected: Elsewhere, eventually: Eventually, aim: str
) -> None:
    """The warden removes the gate; who writes now is not stopped by it."""
    with injected(f"env.chaos.kill_mid_transaction('postgres', duration='1h', {aim}).__enter__()") as other:
        other.kill()
        with env.postgres.connect() as db:
            db.execute("INSERT INTO orders VALUES (1)")
        eventually(lambda: _assert(env.chaos.status() == []))


def test_killed_while_the_victim_waits_in_the_gate(
    env: Environment, injected: Elsewhere, eventually: Eventually
) -> None:
    """The gate opens with the death of its keeper: the victim goes on and commits, before anybody heals."""
    with injected("env.chaos.kill_mid_transaction('postgres', duration='1h', table='orders').__enter__()") as other:
        os.kill(other.pid, signal.SIGSTOP)
        victim = threading.Thread(target=_write, args=(env,), daemon=True)
        victim.start()
        eventually(lambda: _assert(_waiting(env)))
        other.kill()
        victim.join(60)
        eventually(lambda: _assert(env.chaos.status() == []))
    with env.postgres.connect() as db:
        assert db.execute("SELECT count(*) FROM orders").fetchone() == (1,)


def test_killed_after_the_kill_while_the_server_is_down(
    env: Environment, injected: Elsewhere, eventually: Eventually
) -> None:
    """The warden starts the server, and removes what is left of the gate in its data."""
    aim = "duration='1h', table='orders', restart=False"
    with injected(f"env.chaos.kill_mid_transaction('postgres', {aim}).__enter__()") as other:
        with pytest.raises(psycopg.OperationalError):
            _write(env)
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    with env.postgres.connect() as db:
        assert db.execute("SELECT count(*) FROM orders").fetchone() == (0,)


def test_healed_by_another_process_while_it_waits(env: Environment, injected: Elsewhere) -> None:
    """Whoever heals ends the sessions that wait, though their owner lives; after that nobody is killed."""
    with injected("env.chaos.kill_mid_transaction('postgres', duration='1h', table='orders')"):
        [healed] = env.chaos.heal()
        assert healed.stage == "healed"
        _write(env)
    with env.postgres.connect() as db:
        assert db.execute("SELECT count(*) FROM orders").fetchone() == (1,)


def test_a_death_that_the_engine_tells_late_is_told_by_when_it_was(env: Environment) -> None:
    """By the engine's record, and not by when it was asked."""
    site, clock = Ward(env.name).site("postgres"), time.monotonic()
    site.hands.kill(site.container.id)
    pause(3)
    assert death(site, clock) < time.monotonic() - clock - 2
    site.bring_up()
    env.wait_recovered("postgres", timeout=120)
    assert death(site, clock) > 3


def _write(env: Environment) -> None:
    with env.postgres.connect() as db:
        db.execute("INSERT INTO orders VALUES (1)")


def _waiting(env: Environment) -> bool:
    with env.postgres.connect() as db:
        query = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        return db.execute(query).fetchall() != []


def _assert(condition: bool) -> None:
    assert condition


@pytest.mark.parametrize("kept", [False, True], ids=["let go", "kept"])
def test_who_is_stopped_to_be_looked_at_goes_on_unless_it_is_kept(
    env: Environment, eventually: Eventually, kept: bool
) -> None:
    """Whoever looks may be waiting for what is stopped, if that holds a lock of the server's own: nobody else is there
    to let it go. Who was seized meanwhile stays: a kill would come too late otherwise.
    """
    site = Ward(env.name).site("postgres")
    with connect(site) as watcher, env.postgres.connect() as victim:
        pid = str(victim.info.backend_pid)
        eventually(lambda: _assert(_stopped(watcher, pid, by=attempt(pid))))
        if kept:
            watcher.execute(program("STOP", f"4{pid} {pid}", THAW).encode())
            pause(2.0 * GLANCE)
            assert _stopped(watcher, pid)
        eventually(lambda: _assert(not _stopped(watcher, pid)))
        assert victim.execute("SELECT 1").fetchone() == (1,)


def _stopped(db: psycopg.Connection, pid: str, by: str = "SELECT") -> bool:
    db.execute(by.encode())
    [[status]] = db.execute("SELECT pg_read_file(%s, 0, 4096, true)", [f"/proc/{pid}/status"]).fetchall()
    return "T (stopped)" in status


def test_a_server_that_stands_still_is_not_waited_for_for_ever(
    env: Environment, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who heals must come to an end, to let go what stands still."""
    monkeypatch.setattr(bounded, "LONGEST", 1)
    site = Ward(env.name).site("postgres")
    with connect(site) as db:
        engine.api.pause(site.container.id)
        try:
            with pytest.raises(NotReady, match="no answer within 1 s"), answering():
                db.execute("SELECT 1")
        finally:
            engine.api.unpause(site.container.id)
    with connect(site) as db:
        assert db.execute("SELECT 1").fetchone() == (1,)

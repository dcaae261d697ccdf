"""Killed anywhere, the next load ends where an undisturbed one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envctl.errors import SeedFailed
from envctl.services.redis import Redis
from envctl.services.redis.seeding import loader as loading
from tests.integration.seed_redis import loaded, loader, shop, written
from tests.integration.services.conftest import Running, _running

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = Redis()
BATCH = 30_000

# Loads the shop, and kills itself at the n-th act: in the middle of what is sent, after it, or after a note.
KILLED = """
import os, signal, sys
from pathlib import Path
from envctl.seeding.journal import Notes
from envctl.services.redis.seeding import loader as loading
from envctl.services.redis.seeding.connection import Connection
from tests.integration.seed_redis import loader, read, shop

at, folder, how, point = read(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
loading.BATCH = int(sys.argv[5])
acts = 0

def counted(plain, torn):
    def act(self, *arguments, **words):
        global acts
        acts += 1
        if acts == point and how == "torn" and arguments:
            torn(self, arguments[0])
            os.kill(os.getpid(), signal.SIGKILL)
        plain(self, *arguments, **words)
        if acts == point:
            os.kill(os.getpid(), signal.SIGKILL)
    return act

send = Connection._send
Connection._send = counted(send, lambda self, data: send(self, data[: len(data) // 2]))
Notes.set = counted(Notes.set, None)
loader(at, shop(folder)).load()
print(acts)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """One server for the module, ready."""
    with _running(SERVICE) as server:
        yield server.ready()


@pytest.fixture(scope="module")
def whole(server: Running, tmp_path_factory: pytest.TempPathFactory) -> object:
    """What an undisturbed load leaves."""
    found = loaded(server.at, shop(tmp_path_factory.mktemp("whole")))
    empty(server)
    return found


@pytest.fixture(autouse=True)
def small_batches(server: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Many transactions, and nothing left of the test before."""
    monkeypatch.setattr(loading, "BATCH", BATCH)
    yield
    empty(server)


def empty(server: Running) -> None:
    """Remove all keys."""
    with SERVICE.handle(server.at).client() as client:
        client.flushall()


def keys(server: Running) -> int:
    """How many there are."""
    with SERVICE.handle(server.at).client() as client:
        return client.dbsize()


def killed(server: Running, folder: Path, how: str, point: int) -> subprocess.CompletedProcess[str]:
    """A process that loads until the point."""
    command = [sys.executable, "-c", KILLED, written(server.at), str(folder), how, str(point), str(BATCH)]
    root = Path(__file__).parents[2]
    return subprocess.run(
        command, cwd=root, env={**os.environ, "PYTHONPATH": "."}, text=True, check=False, capture_output=True
    )


@pytest.mark.parametrize("how", ["torn", "after"])
@pytest.mark.parametrize("point", [5, 6, 7, 12, 23, 34, 61, 87, 108, 139, 150, 171, 192, 203])
def test_a_killed_load_is_completed_by_the_next(
    server: Running, tmp_path: Path, whole: object, how: str, point: int
) -> None:
    """Nothing is missing, and nothing is there twice."""
    done = killed(server, tmp_path, how, point)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    loader(server.at, shop(tmp_path)).load()
    assert loader(server.at, shop(tmp_path)).measure() == whole
    assert loader(server.at, shop(tmp_path)).present()


def test_killed_at_the_end_nothing_is_loaded_again(server: Running, tmp_path: Path, whole: object) -> None:
    """Between the last act in redis and the journal that says loaded."""
    acts = int(killed(server, tmp_path, "never", 0).stdout)
    empty(server)
    (tmp_path / "states" / "state" / "seed.json").unlink()
    for point in range(acts - 2, acts + 1):
        done = killed(server, tmp_path, "after", point)
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
        sent: list[int] = []
        loader(server.at, shop(tmp_path), progress=lambda rows, _, s=sent: s.append(rows)).load()
        assert sum(sent) == 0
        assert loader(server.at, shop(tmp_path)).measure() == whole
        empty(server)
        (tmp_path / "states" / "state" / "seed.json").unlink()


@pytest.mark.parametrize("point", [23, 108])
def test_a_killed_load_can_be_cleared(server: Running, tmp_path: Path, point: int) -> None:
    """And nothing of it stays."""
    footprint = loader(server.at, shop(tmp_path)).footprint()
    killed(server, tmp_path, "after", point)
    assert keys(server) > 0
    SERVICE.clear(server.at, footprint)
    assert keys(server) == 0


@pytest.mark.parametrize("batches", [3, 17, 40])
def test_a_killed_server_is_said_and_the_next_load_completes_it(
    server: Running, tmp_path: Path, whole: object, batches: int
) -> None:
    """The last second's data may be gone with it, and with it its mark."""
    dataset, calls = shop(tmp_path), iter(range(10_000))

    def kill_once(_: int, __: int) -> None:
        if next(calls) == batches:
            server.docker("kill", "-s", "KILL", server.container())

    with pytest.raises(SeedFailed, match=r"closed|refused|reset"):
        loader(server.at, dataset, progress=kill_once).load()
    server.docker("start", server.container())
    server.ready()
    loader(server.at, dataset).load()
    assert loader(server.at, dataset).measure() == whole


def test_a_server_killed_afterwards_holds_all_or_says_so(server: Running, tmp_path: Path, whole: object) -> None:
    """What the append-only file had not got yet is loaded by the next run."""
    dataset = shop(tmp_path)
    loader(server.at, dataset).load()
    server.docker("kill", "-s", "KILL", server.container())
    server.docker("start", server.container())
    server.ready()
    if not loader(server.at, dataset).present():
        loader(server.at, dataset).load()
    assert loader(server.at, dataset).measure() == whole

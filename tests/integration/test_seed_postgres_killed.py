"""Killed anywhere, the next load ends where an undisturbed one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envctl.errors import SeedFailed
from envctl.services.postgres import Postgres
from envctl.services.postgres.seeding import constraints
from tests.integration.seed_postgres import ask, loaded, loader, shop, written
from tests.integration.services.conftest import Running, _running

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = Postgres()

# Loads the shop, and kills itself when the n-th statement is about to be sent, or the n-th piece of data.
KILLED = """
import os, signal, sys, itertools, pathlib
import psycopg
from envctl.services.postgres.seeding import constraints
from tests.integration.seed_postgres import loader, read, shop
constraints.WORTH_ROWS = 1
endpoint, folder, kind, point = sys.argv[1:]
owner, method = (psycopg.Connection, "execute") if kind == "statement" else (psycopg.Copy, "write")
count, original = itertools.count(1), getattr(owner, method)
def counted(self, *arguments, **named):
    if next(count) == int(point):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, *arguments, **named)
setattr(owner, method, counted)
loader(read(endpoint), shop(pathlib.Path(folder))).load()
print(next(count) - 1)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """One server for the module, ready."""
    with _running(SERVICE) as running:
        yield running.ready()


@pytest.fixture(autouse=True)
def empty(server: Running) -> Iterator[None]:
    """Nothing is left of the test before."""
    yield
    SERVICE.clear(server.at, {})


@pytest.fixture(scope="module")
def whole(server: Running, tmp_path_factory: pytest.TempPathFactory) -> object:
    """What an undisturbed load leaves: rows, and all constraints and indexes."""
    found = loaded(server.at, shop(tmp_path_factory.mktemp("whole"))), keys(server)
    SERVICE.clear(server.at, {})
    return found


def keys(server: Running) -> object:
    """All constraints and indexes of the shop."""
    return ask(
        server.at,
        "SELECT conname, pg_get_constraintdef(oid), convalidated::text FROM pg_constraint"
        " WHERE connamespace = 'shop'::regnamespace UNION ALL"
        " SELECT indexname, indexdef, '' FROM pg_indexes WHERE schemaname = 'shop' ORDER BY 1, 2",
    )


def killed(server: Running, folder: Path, kind: str, point: int) -> subprocess.CompletedProcess[str]:
    """A process that loads until the point."""
    command = [sys.executable, "-c", KILLED, written(server.at), str(folder), kind, str(point)]
    root = Path(__file__).parents[2]
    return subprocess.run(
        command, cwd=root, env={**os.environ, "PYTHONPATH": "."}, text=True, check=False, capture_output=True
    )


@pytest.mark.parametrize(
    ("kind", "point"),
    [
        *(("statement", point) for point in range(5, 68, 6)),
        ("data", 4),
        ("data", 9),
    ],
)
def test_a_killed_load_is_completed_by_the_next(
    server: Running, tmp_path: Path, whole: object, monkeypatch: pytest.MonkeyPatch, kind: str, point: int
) -> None:
    """Rows and keys are those of an undisturbed load."""
    monkeypatch.setattr(constraints, "WORTH_ROWS", 1)
    done = killed(server, tmp_path, kind, point)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    assert not loader(server.at, shop(tmp_path)).present()
    loader(server.at, shop(tmp_path)).load()
    assert (loader(server.at, shop(tmp_path)).measure(), keys(server)) == whole
    assert loader(server.at, shop(tmp_path)).present()


@pytest.mark.parametrize("point", [20, 40, 60])
def test_a_killed_load_can_be_cleared(server: Running, tmp_path: Path, point: int) -> None:
    """Without the dataset, and nothing of it stays."""
    before = ask(server.at, "SELECT count(*) FROM pg_class")
    killed(server, tmp_path, "statement", point)
    SERVICE.clear(server.at, {})
    assert ask(server.at, "SELECT count(*) FROM pg_class") == before


def test_a_killed_server_is_said_and_the_next_load_completes_it(server: Running, tmp_path: Path, whole: object) -> None:
    """Its last commits may be gone with it, and with them their marks."""
    dataset, died, one = shop(tmp_path), list[str](), threading.Lock()

    def kill_once(_: int, __: int) -> None:
        # Every connection has a thread: the others wait, or they would kill it again, or be done before it is dead.
        with one:
            if not died:
                died.append(server.docker("kill", "-s", "KILL", server.container()))

    with pytest.raises(SeedFailed, match=r"connection was lost|refused"):
        loader(server.at, dataset, progress=kill_once).load()
    server.docker("start", server.container())
    server.ready()
    loader(server.at, dataset).load()
    assert (loader(server.at, dataset).measure(), keys(server)) == whole

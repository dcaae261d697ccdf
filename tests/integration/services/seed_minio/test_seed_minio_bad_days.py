"""Loading into MinIO when something dies, refuses or changes meanwhile."""

from __future__ import annotations

import datetime as dt
import pickle
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from envctl.errors import SeedFailed
from envctl.model import Endpoint, Identity
from envctl.protocols import NotReady
from envctl.seeding.spec import Bucket
from envctl.services.minio.requests import Requests
from envctl.services.minio.seeding import framing
from envctl.waiting import until
from tests.integration.services.conftest import PATIENCE
from tests.integration.services.seed_minio.runs import MINIO, SENT, Seeding, bucket_of, etags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from envctl.seeding.objects import Piece
    from envctl.seeding.spec import Dataset
    from tests.integration.services.conftest import Running


def test_wrong_passwords_are_told_with_the_servers_code(start: Callable[..., Seeding], server: Running) -> None:
    """And with what to do; the password is not in it."""
    wrong = replace(server.at, admin=Identity("admin", "wr0ngwr0ng"))
    with pytest.raises(SeedFailed, match="envctl down") as raised:
        start(wrong).load()
    assert "wr0ng" not in str(raised.value)


def test_a_file_that_changes_while_it_is_sent_is_not_stored(start: Callable[..., Seeding], own: Path) -> None:
    """Not even half of it; the next load stores it as it is then."""
    run = start(jobs=1)
    run.loader.size()
    (own / "deep" / "b.bin").write_bytes(b"other")
    with pytest.raises(SeedFailed, match=r"b\.bin stored\n  found: it changed while it was read"):
        run.load()
    bucket = bucket_of(run)
    assert "mine/deep/b.bin" not in etags(run.at, bucket)
    assert start().load()[f"{bucket}/mine/deep/b.bin"] == b"other"


def test_what_arrives_otherwise_than_it_was_sent_is_not_stored(
    start: Callable[..., Seeding], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server compares a checksum: one bit on the way is enough."""

    def turned(size: int, pieces: Iterable[Piece]) -> Iterator[Piece]:
        for number, part in enumerate(body(size, pieces)):
            # After the first chunk's length comes its first piece.
            yield bytes([part[0] ^ 1]) + bytes(part[1:]) if number == 1 else part

    body = framing.body
    monkeypatch.setattr(framing, "body", turned)
    run = start(jobs=1)
    with pytest.raises(SeedFailed, match="Checksum"):
        run.load()
    assert etags(run.at, bucket_of(run)) == {}


CHILD = """
import pickle, sys
from tests.integration.services.seed_minio.runs import Seeding
run = Seeding(*pickle.load(open(sys.argv[1], "rb")))
run.on_progress = lambda: print(flush=True)
run.load()
"""


@pytest.mark.parametrize("moments", [(1, 12), (5, 3), (17, 1)])
def test_killed_at_any_moment_it_is_gone_on_from(
    start: Callable[..., Seeding], dataset: Dataset, tmp_path: Path, moments: tuple[int, ...]
) -> None:
    """SIGKILL after so many pieces, twice; then all is as if nothing had been."""
    (tmp_path / "run").write_bytes(pickle.dumps((start().at, dataset, tmp_path / "state")))
    for pieces in moments:
        command = [sys.executable, "-c", CHILD, str(tmp_path / "run")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[4]) as child:
            assert child.stdout
            for _ in range(pieces):
                child.stdout.readline()
            child.kill()
        assert child.returncode == -signal.SIGKILL
    last = start()
    found = last.load()
    assert found == {item.name: b"".join(item.open()) for item in last.loader._items}
    assert start().loader.footprint()["buckets"] == [bucket_of(last)]


def test_a_server_killed_in_the_middle_ends_the_load_and_the_next_one_repairs(
    start: Callable[..., Seeding], server: Running
) -> None:
    """It says what to do, and nothing of what was under way is there as an object."""
    run, died, one = start(), list[str](), threading.Lock()

    def kill_once() -> None:
        # Two threads tell of progress: the other one waits, or it would kill it again, or be done before it is dead.
        with one:
            if len(run.told) >= 7 and not died:
                died.append(server.docker("kill", server.container()))

    run.on_progress = kill_once
    with pytest.raises(SeedFailed, match="run `envctl seed` again: it goes on"):
        run.load()
    server.docker("start", server.container())
    server.ready()
    last = start()
    assert last.load() == {item.name: b"".join(item.open()) for item in last.loader._items}


def test_a_server_that_went_back_to_before_is_loaded_again(start: Callable[..., Seeding]) -> None:
    """What is noted and not there is stored: the journal alone proves nothing."""
    run = start()
    footprint, found = run.loader.footprint(), run.load()
    MINIO.clear(run.at, footprint)
    assert not start().loader.present()
    assert start().load() == found


def test_clocks_that_differ_are_told(start: Callable[..., Seeding], monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour is more than the protocol takes."""

    class Late(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Self:
            return super().now(tz) - dt.timedelta(hours=1)

    run = start()
    monkeypatch.setattr(dt, "datetime", Late)
    with pytest.raises(SeedFailed, match=r"found: RequestTimeTooSkewed .*\n  do:    set the clocks"):
        run.load()


def test_a_full_disk_is_told_and_what_was_stored_stays(
    start: Callable[..., Seeding], server: Running, dataset: Dataset
) -> None:
    """A drive of 60 MB for a dataset of 100."""
    large = replace(SENT, size=10_000_000, format="'csv'", defect="'none'", content_of="row")
    (bucket,) = dataset.buckets
    with small_server(server, "60m") as at:
        run = start(at, replace(dataset, buckets={bucket: Bucket(bucket, objects=(large,))}))
        with pytest.raises(SeedFailed, match=r"do:    .*the engine's disk"):
            run.load()
        assert 0 < len(etags(at, bucket)) < run.loader.size().rows


@contextmanager
def small_server(server: Running, size: str) -> Iterator[Endpoint]:
    """A second server, with a drive of that size in memory."""
    image, name = server.docker("inspect", "-f", "{{.Image}}", server.container()).strip(), f"{server.project}-small"
    admin = Identity("admin", "sm4llsm4ll")
    secrets = ["-e", f"MINIO_ROOT_USER={admin.username}", "-e", f"MINIO_ROOT_PASSWORD={admin.password}"]
    drive = ["--tmpfs", f"/data:size={size}", "-p", "127.0.0.1::9000"]
    try:
        server.docker("run", "-d", "--name", name, *secrets, *drive, image, "server", "/data")
        port = int(server.docker("port", name, "9000").strip().rpartition(":")[2])
        at = Endpoint("minio", "127.0.0.1", {"minio": port}, admin)
        until(lambda: initialised(at), PATIENCE, "a small server")
        yield at
    finally:
        server.docker("rm", "-f", "-v", name)


def initialised(at: Endpoint) -> None:
    """Whether it takes requests."""
    if Requests(at, 2).send("GET", "/minio/health/cluster").status != 200:
        raise NotReady("not initialised")

"""The state folder: private, whole or not at all, and held by one process at a time."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envctl.errors import Busy, Interrupted, StateFolderError
from envctl.events import listening
from envctl.locks import file_lock
from envctl.state import Pins, StateFolder, state_root
from envctl.waiting import Deadline, in_parallel

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLD = """
import sys
from envctl.state import StateFolder
with StateFolder("shop").locked(30):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """The folder of environment `shop`, made."""
    folder = StateFolder("shop", tmp_path / "envctl")
    folder.create()
    return folder


@pytest.fixture
def read_only(folder: StateFolder) -> Iterator[StateFolder]:
    """The folder with saved pins, on a file system that cannot be written, not even by root."""
    folder.save(Pins(digest="kept"))
    bound = subprocess.run(["mount", "--bind", folder.root, folder.root], capture_output=True, check=False)
    if bound.returncode:
        folder.path.chmod(0o500)
        if os.access(folder.path, os.W_OK):
            pytest.skip("neither a bind mount nor a mode makes a folder read-only here")
        yield folder
        folder.path.chmod(0o700)
        return
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder.root], check=True)
        yield folder
    finally:
        subprocess.run(["umount", folder.root], check=True)


@pytest.fixture
def holder(state_home: Path) -> Iterator[subprocess.Popen[str]]:  # noqa: ARG001 - the holder's state folder
    """Another process that holds the lock of `shop` until its input ends."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    with process:
        yield process
        process.kill()


def open_files() -> int:
    """How many file descriptors this process has."""
    return len(list(Path("/dev/fd").iterdir()))


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_where_xdg_says() -> None:
    """`$XDG_STATE_HOME/envctl`, else the default of the specification."""
    assert state_root({"XDG_STATE_HOME": "/srv/state"}) == Path("/srv/state/envctl")
    assert state_root({"HOME": "x"}) == Path.home() / ".local" / "state" / "envctl"


def test_nobody_else_can_look_into_the_folder(tmp_path: Path) -> None:
    """Folders 0700 and files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        folder = StateFolder("shop", tmp_path / "deep" / "envctl")
        folder.create()
        folder.save(Pins())
        folder.touch()
        folder.request_down()
        with folder.locked(1):
            files = list(folder.path.iterdir())
    finally:
        os.umask(before)

    assert [mode(folder.root), mode(folder.path)] == [0o700, 0o700]
    assert {path.name: mode(path) for path in files} == dict.fromkeys(
        ["environment.json", "used", "down-requested", "lock"], 0o600
    )


def test_what_was_saved_is_loaded(folder: StateFolder) -> None:
    """Every field of the pins survives the file."""
    pins = Pins(
        secrets={"postgres": {"admin": "a", "app": "b"}},
        ports={"postgres": {"postgres": 20001}},
        ready={"c1": "2026-01-01T00:00:00Z"},
        ready_ms={"postgres": 900},
        origins={"postgres": "built"},
        profiles=["core"],
        digest="d",
        starting="process:x:1:2",
        ttl=3600.0,
    )
    folder.save(pins)

    assert folder.load() == pins


def test_a_new_environment_has_empty_pins(tmp_path: Path) -> None:
    """No folder is no error: nothing is pinned yet."""
    assert StateFolder("new", tmp_path).load() == Pins()


def test_what_another_version_wrote_is_ignored(folder: StateFolder) -> None:
    """Unknown keys do no harm."""
    folder.write("environment.json", json.dumps({"digest": "d", "of_the_future": 1}))

    assert folder.load().digest == "d"


def test_a_secret_is_made_once_and_is_long() -> None:
    """192 bits, the same for ever, different for each identity."""
    pins = Pins()

    assert pins.secret("redis", "app") == pins.secret("redis", "app")
    assert pins.secret("redis", "app") != pins.secret("redis", "admin")
    assert len(bytes.fromhex(pins.secret("redis", "app"))) == 24


def test_a_write_that_fails_leaves_the_old_file(folder: StateFolder) -> None:
    """Whole or not at all; and no draft stays behind."""
    folder.write("file", "old")
    with pytest.raises(UnicodeEncodeError):
        folder.write("file", "\ud800 cannot be encoded")

    assert (folder.path / "file").read_text() == "old"


def test_readers_never_see_half_a_file(folder: StateFolder) -> None:
    """While one thread writes, another always reads one of the two states."""
    small, large = Pins(digest="s"), Pins(digest="l" * 100_000)
    folder.save(small)
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            folder.save(large)
            folder.save(small)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        seen = {folder.load().digest[:1] for _ in range(300)}
    finally:
        over.set()
        writer.join(30)
    assert seen <= {"s", "l"}


def test_threads_that_save_at_once_do_not_disturb_one_another(folder: StateFolder) -> None:
    """One Environment may be used from many threads."""

    def save(name: str) -> None:
        for _ in range(20):
            folder.save(Pins(digest=name))

    outcomes = in_parallel({name: lambda name=name: save(name) for name in "abcd"})  # type: ignore[misc]

    assert set(outcomes.values()) == {None}
    assert folder.load().digest in "abcd"


@pytest.mark.parametrize("damage", [b"{half", b"[]", b"null", b"", b"\xff\xfe\x00", b'{"secrets": 3}'])
def test_a_damaged_file_is_named_with_the_way_out(folder: StateFolder, damage: bytes) -> None:
    """Whatever stands in it: a clear error with file and remedy, no traceback."""
    (folder.path / "environment.json").write_bytes(damage)
    with pytest.raises(StateFolderError, match="is damaged") as caught:
        folder.load()

    assert str(folder.path / "environment.json") in caught.value.found
    assert "envctl --env shop down" in caught.value.advice


def test_a_file_in_place_of_the_folder_is_a_clear_error(tmp_path: Path) -> None:
    """What cannot be used is named with its path and the reason; looking at it is no error."""
    (tmp_path / "envctl").write_text("in the way")
    folder = StateFolder("shop", tmp_path / "envctl")

    for use in (folder.create, folder.load, lambda: folder.save(Pins()), lambda: folder.locked(0).__enter__()):
        with pytest.raises(StateFolderError, match="set XDG_STATE_HOME") as caught:
            use()
        assert str(folder.path) in caught.value.wanted
    folder.touch()
    folder.request_down()
    assert folder.last_used() is None
    assert not folder.down_requested()


def test_a_read_only_folder_can_be_looked_at_but_not_used(read_only: StateFolder) -> None:
    """`up` says what is wrong; `status` and a request to go down work as far as they can."""
    for use in (
        read_only.create,
        lambda: read_only.save(Pins()),
        lambda: read_only.locked(0).__enter__(),
        read_only.remove,
    ):
        with pytest.raises(StateFolderError, match=r"(?i)read-only|denied"):
            use()
    read_only.touch()
    read_only.request_down()
    assert read_only.load().digest == "kept"


def test_a_missing_folder_is_an_error_only_for_those_who_write(tmp_path: Path) -> None:
    """Somebody removed it by hand."""
    folder = StateFolder("gone", tmp_path / "envctl")
    folder.touch()
    folder.request_down()
    folder.clear_request()
    folder.remove()

    assert folder.last_used() is None
    assert folder.others() == {}
    with pytest.raises(StateFolderError):
        folder.save(Pins())


def test_use_and_requests_are_noted(folder: StateFolder) -> None:
    """The time of the last use, and another process's wish to end the environment, until it is cleared."""
    assert folder.last_used() is None
    folder.touch()
    folder.request_down()

    assert folder.last_used() == pytest.approx(time.time(), abs=5)
    assert folder.down_requested()
    folder.clear_request()
    assert not folder.down_requested()


def test_others_are_seen_without_the_damaged_ones(folder: StateFolder) -> None:
    """Ports of the neighbours count; a neighbour whose file is damaged pins nothing."""
    neighbour, damaged = StateFolder("neighbour", folder.root), StateFolder("damaged", folder.root)
    for other in (folder, neighbour, damaged):
        other.create()
        other.save(Pins(digest=other.name))
    (damaged.path / "environment.json").write_text("{")

    assert folder.others() == {"neighbour": Pins(digest="neighbour")}


def test_a_lock_keeps_other_processes_out_and_names_the_holder(holder: subprocess.Popen[str]) -> None:
    """Two processes never work on one environment; the second says who is at it and since when."""
    with pytest.raises(Busy, match=f"process {holder.pid} has held it for 0.1 s"), StateFolder("shop").locked(0.1):
        pass


def test_who_waits_for_longer_than_a_moment_says_for_whom(
    holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; a silent program looks like one that hangs."""
    monkeypatch.setattr("envctl.locks.A_MOMENT", 0.05)
    heard: list[tuple[str, dict[str, object]]] = []
    with (
        listening(lambda event, data: heard.append((event, data))),
        pytest.raises(Busy),
        StateFolder("shop").locked(0.5),
    ):
        pass
    assert heard == [("lock.waiting", {"environment": "shop", "reason": f"process {holder.pid} works on it"})]


def test_a_lock_is_had_as_soon_as_its_holder_lets_go(holder: subprocess.Popen[str]) -> None:
    """Whoever waits goes on without a further wish."""
    assert holder.stdin
    holder.stdin.close()
    with StateFolder("shop").locked(30):
        assert (StateFolder("shop").path / "lock").read_text() == str(os.getpid())


def test_a_lock_dies_with_its_holder(holder: subprocess.Popen[str]) -> None:
    """SIGKILL leaves no lock behind."""
    holder.send_signal(signal.SIGKILL)
    with StateFolder("shop").locked(30):
        pass


def test_a_lock_keeps_other_threads_out_too(folder: StateFolder) -> None:
    """One process may use an environment from many threads."""
    with folder.locked(0), pytest.raises(Busy, match=f"process {os.getpid()}"), folder.locked(0):
        pass


def test_a_lock_is_not_inherited_by_programs_that_the_holder_starts(folder: StateFolder) -> None:
    """A child that outlives the holder does not hold the environment."""
    with folder.locked(0):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with child, folder.locked(30):
        pass


def test_the_holder_may_delete_the_folder_while_others_wait(folder: StateFolder) -> None:
    """`down` removes the folder, lock and all; whoever waited gets a lock that counts."""
    order: list[str] = []

    def wait() -> None:
        with folder.locked(30):
            order.append("waiter")
            folder.save(Pins())

    waiter = threading.Thread(target=wait, daemon=True)
    with folder.locked(0):
        waiter.start()
        order.append("holder")
        folder.remove()
    waiter.join(30)

    assert order == ["holder", "waiter"]
    assert folder.path.is_dir()


def test_a_folder_in_which_nothing_was_pinned_goes_with_its_lock(folder: StateFolder) -> None:
    """An `up` that was refused or interrupted at once leaves no trace."""
    with folder.locked(0):
        assert folder.path.is_dir()
    assert not folder.path.exists()


def test_deletion_and_locking_at_once_never_fail(folder: StateFolder) -> None:
    """Processes that come and go beside a `down` neither break it nor get a lock on a deleted file."""
    over = threading.Event()
    held, files = 0, open_files()

    def come_and_go() -> None:
        nonlocal held
        while not over.wait(0.001):
            try:
                folder.create()
                with folder.locked(0):
                    assert (folder.path / "lock").exists()
                    held += 1
            except Busy:
                continue

    def take_down() -> None:
        try:
            turns, patience = 0, Deadline(60)
            while turns < 30 or not (held or patience.passed):
                turns += 1
                with folder.locked(10):
                    folder.save(Pins())
                    folder.remove()
        finally:
            over.set()

    outcomes = in_parallel({"down": take_down, "up": come_and_go, "other up": come_and_go})
    assert outcomes == dict.fromkeys(outcomes)
    assert held
    assert open_files() <= files


def test_a_lock_that_cannot_be_kept_leaves_no_open_file(folder: StateFolder) -> None:
    """Waiting for hours does not run out of file descriptors."""
    with folder.locked(0):
        before = open_files()
        for _ in range(20):
            with pytest.raises(Busy), folder.locked(0):
                pass

        assert open_files() <= before


def test_any_file_can_be_a_lock(tmp_path: Path) -> None:
    """The choice of ports has one of its own; a path that cannot be is a clear error."""
    with file_lock(tmp_path / "a" / "ports.lock", 0, "the choice of ports"):
        assert (tmp_path / "a" / "ports.lock").exists()
    (tmp_path / "file").touch()
    with pytest.raises(StateFolderError, match="File exists"), file_lock(tmp_path / "file" / "lock", 0, "a folder"):
        pass


def test_an_up_stops_where_a_down_asks_or_has_been_faster(folder: StateFolder) -> None:
    """Images may take longer to make than `down` waits: then the folder is gone, and with it the request."""
    folder.require_wanted()

    folder.request_down()
    with pytest.raises(Interrupted, match="took it down meanwhile"):
        folder.require_wanted()

    folder.remove()
    with pytest.raises(Interrupted, match="took it down meanwhile"):
        folder.require_wanted()

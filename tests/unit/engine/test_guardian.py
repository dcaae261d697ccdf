"""The guardian: a real process that watches a real owner, and becomes `envctl down` when that is dead."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING

import psutil
import pytest

from envctl.engine import guardian
from envctl.engine.guardian import MODULE, _time_left
from envctl.protocols import NotReady
from envctl.state import Pins, StateFolder
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 60.0
"""Seconds until something that should come counts as missing; machines that run tests are busy."""

OWNER = """
import sys
from envctl.engine import guardian, owner
from envctl.state import StateFolder
StateFolder(sys.argv[1]).create()
guardian.start(sys.argv[1], owner.this_process())
print("started", flush=True)
input()
"""


@pytest.fixture
def name(state_home: Path) -> Iterator[str]:  # noqa: ARG001 - the guardians' state folder
    """The name of an environment that nobody else has; its guardians end with the test."""
    name = f"guarded-{uuid.uuid4().hex[:8]}"
    yield name
    guardian.end(name)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket in the engine's place: who connects wanted something of it."""
    path = tmp_path / "engine.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield server


def guardians(name: str) -> list[psutil.Process]:
    """The environment's guardians, of which there is at least one within seconds."""

    def look() -> list[psutil.Process]:
        if not (found := guardian.running(name)):
            raise NotReady("none")
        return found

    return until(look, PATIENCE, "a guardian")


@pytest.fixture
def owner(name: str, engine: socket.socket) -> Iterator[subprocess.Popen[str]]:  # noqa: ARG001 - never the real engine
    """A process that has started a guardian for itself, and waits."""
    command = [sys.executable, "-c", OWNER, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "started\n"
        yield process
        process.kill()


def test_it_watches_while_its_owner_lives(owner: subprocess.Popen[str], name: str, engine: socket.socket) -> None:
    """And asks nothing of the engine."""
    (found,) = guardians(name)
    engine.settimeout(0.5)
    with pytest.raises(TimeoutError):
        engine.accept()

    assert owner.poll() is None
    assert found.is_running()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_it_takes_the_environment_down_when_its_owner_dies(
    owner: subprocess.Popen[str], name: str, engine: socket.socket, sign: signal.Signals
) -> None:
    """However that dies."""
    (found,) = guardians(name)
    owner.send_signal(sign)
    engine.settimeout(PATIENCE)
    engine.accept()[0].close()

    words = psutil.Process(found.pid).cmdline()
    assert words[-6:] == ["-m", "envctl", "--env", name, "-q", "down"]
    found.kill()


def test_it_survives_the_end_of_its_owners_session(owner: subprocess.Popen[str], name: str) -> None:
    """A terminal that closes, a CI job that is cancelled: its group is not its owner's, nor its runner's mark."""
    (found,) = guardians(name)

    assert os.getsid(found.pid) == found.pid
    assert os.getsid(found.pid) != os.getsid(owner.pid)
    assert found.cwd() == "/"
    assert found.environ()["RUNNER_TRACKING_ID"] == ""


def test_starting_one_leaves_no_warning(name: str, engine: socket.socket) -> None:  # noqa: ARG001 - never the real one
    """A user's test suite that turns warnings into errors does not fail for a process that is meant to outlive it."""
    StateFolder(name).create()
    code = f"from envctl.engine import guardian, owner; guardian.start({name!r}, owner.this_process())"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)

    assert done.stderr == ""


def test_only_the_guardians_of_the_environment_are_ended(
    owner: subprocess.Popen[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is named with its pid; a second time there is none. A parent that does not look after it costs no wait."""
    monkeypatch.setattr(guardian, "until", lambda probe, _, what: until(probe, PATIENCE, what))
    (found,) = guardians(name)
    started = time.monotonic()

    assert guardian.end(f"{name}-2") == ()
    assert [(r.kind, r.id, r.environment) for r in guardian.end(name)] == [("process", str(found.pid), name)]
    assert not found.is_running() or found.status() == psutil.STATUS_ZOMBIE
    assert guardian.end(name) == ()
    assert owner.poll() is None
    assert time.monotonic() - started < PATIENCE


def test_a_program_that_only_speaks_of_guardians_is_none(name: str) -> None:
    """`pgrep -f`, an editor: the module's name among their words breaks nothing."""
    command = [sys.executable, "-c", "input()", MODULE]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert guardian.running(name) == []
        assert guardian.end(name) == ()
        assert process.poll() is None
        process.kill()


@pytest.mark.parametrize("harm", ["removed", "damaged"])
def test_a_state_folder_in_a_bad_state_does_not_end_the_watch(
    owner: subprocess.Popen[str], name: str, engine: socket.socket, harm: str
) -> None:
    """Losing the folder loses nothing but the pins: what is on the engine still goes with its owner."""
    guardians(name)
    folder = StateFolder(name)
    if harm == "removed":
        folder.remove()
    else:
        folder.write("environment.json", "{half")
    engine.settimeout(0.5)
    with pytest.raises(TimeoutError):
        engine.accept()
    owner.kill()
    engine.settimeout(PATIENCE)
    engine.accept()[0].close()


@pytest.fixture
def folder(name: str) -> StateFolder:
    """The state of an environment of a user's with a time to live of a minute, last used in 1970."""
    folder = StateFolder(name)
    folder.create()
    folder.save(Pins(ttl=60.0))
    folder.touch()
    os.utime(folder.path / "used", (0, 0))
    return folder


def test_time_to_live_counts_from_the_last_use(folder: StateFolder) -> None:
    """Use gives new time; without a time to live there is no end."""
    assert (_time_left(folder) or 0) < -1e9
    folder.touch()
    assert _time_left(folder) == pytest.approx(60, abs=5)
    folder.save(Pins(ttl=600.0))
    assert _time_left(folder) == pytest.approx(600, abs=5)
    folder.save(Pins())
    assert _time_left(folder) is None


def test_it_takes_an_unused_environment_down_when_its_time_is_over(folder: StateFolder, engine: socket.socket) -> None:
    """Nobody has to be there."""
    guardian.start(folder.name)
    engine.settimeout(PATIENCE)
    engine.accept()[0].close()


def test_it_ends_by_itself_with_an_environment_that_has_no_owner(folder: StateFolder) -> None:
    """Whoever took it down was quicker."""
    folder.touch()
    guardian.start(folder.name)
    (found,) = guardians(folder.name)
    folder.remove()

    assert found.wait(PATIENCE) in {0, None}

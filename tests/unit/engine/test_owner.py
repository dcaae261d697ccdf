"""Owners: a process is dead only when that is proved."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from envctl.engine.owner import USER, process_id, provably_dead, this_process

if TYPE_CHECKING:
    from collections.abc import Iterator

OWNER = "from envctl.engine import owner; print(owner.this_process(), flush=True); input()"


@pytest.fixture
def process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that waits, and its owner label."""
    running = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with running:
        assert running.stdout
        yield running, running.stdout.readline().strip()
        running.kill()


def with_start(owner: str, change: int) -> str:
    """The same process with another start."""
    return re.sub(r"\d+$", lambda start: str(int(start[0]) + change), owner)


def test_this_process_is_alive() -> None:
    """And can be recognised by its pid."""
    assert not provably_dead(this_process())
    assert process_id(this_process()) == os.getpid()


def test_a_running_process_is_alive_until_it_is_killed(process: tuple[subprocess.Popen[str], str]) -> None:
    """SIGKILL leaves no doubt."""
    running, owner = process
    assert not provably_dead(owner)
    running.kill()
    running.wait()

    assert provably_dead(owner)


def test_a_zombie_is_dead(process: tuple[subprocess.Popen[str], str]) -> None:
    """Its parent has not looked after it; it will never work again."""
    running, owner = process
    running.kill()
    os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)

    assert provably_dead(owner)


def test_another_process_that_got_the_same_pid_is_not_the_owner() -> None:
    """Pids are used again; the start tells them apart."""
    assert provably_dead(with_start(this_process(), -1_000_000))


def test_the_wall_clock_may_be_set_without_killing_anybody(process: tuple[subprocess.Popen[str], str]) -> None:
    """A machine that was asleep, or whose clock was wrong, sets it by hours; its processes live on.

    The kernel tells a process's start by its own clock, and the time of the boot by the wall clock: a moved clock is
    a moved time of boot.
    """
    _, owner = process
    code = """
import sys, psutil
import psutil._pslinux as linux
boot = psutil.boot_time()
linux.BOOT_TIME = boot + 3600
linux.boot_time = lambda: boot + 3600
from envctl.engine.owner import provably_dead
print(provably_dead(sys.argv[1]))
"""
    done = subprocess.run([sys.executable, "-c", code, owner], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "owner",
    [USER, "", "process", "process:1:2", "process:elsewhere:1:1", "process:elsewhere:99999999:1", "robot:x:1:1"],
)
def test_what_cannot_be_seen_from_here_is_never_dead(owner: str) -> None:
    """A user, another machine, another process namespace, an unknown form: nothing is removed on a guess."""
    assert not provably_dead(owner)


def test_only_process_owners_have_a_process() -> None:
    """A user has none."""
    assert process_id(USER) is None
    assert process_id("process:x:7:1") == 7

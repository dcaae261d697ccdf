"""What the surgeon does to control groups, on folders that look like groups of either version; and how it is told."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from envctl.engine import operations
from envctl.engine.operations import cgroups, descriptors, limits, memory, processes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = {
    1: {
        "memory.limit_in_bytes": "536870912",
        "memory.swappiness": "60",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3",
        "memory.usage_in_bytes": "1000000",
        "memory.stat": "cache 1\ntotal_active_file 100000\ntotal_inactive_file 200000",
    },
    2: {
        "memory.max": "max",
        "memory.high": "max",
        "memory.current": "1000000",
        "memory.stat": "anon 1\nactive_file 100000\ninactive_file 150000\nslab_reclaimable 50000",
        "memory.events": "low 0\nhigh 7\nmax 0\noom 0\noom_kill 3",
    },
}


@pytest.fixture(params=[1, 2])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """A group of either version."""
    for name, text in FILES[request.param].items():
        (tmp_path / name).write_text(text + "\n")
    return {"folder": str(tmp_path), "inode": tmp_path.stat().st_ino, "version": request.param}


def test_limits_come_back_as_they_were_written(group: dict[str, Any]) -> None:
    """Whatever was set in between, and as often as one asks."""
    before = limits.again(group, "memory")
    assert "memory.swap.max" not in before  # this kernel has none
    for file in before:
        cgroups.write(group, file, "4096")
    for _ in range(2):
        assert limits.restore(group, before)
        assert limits.again(group, "memory") == before


def test_a_group_that_was_made_anew_in_the_same_place_is_left_alone(group: dict[str, Any]) -> None:
    """It has its container's own limits."""
    other = {**group, "inode": group["inode"] + 1}
    assert not limits.restore(other, {"memory.max": "1", "memory.limit_in_bytes": "1"})
    assert limits.again(other, "memory") == {}
    assert limits.again(group, "memory").get("memory.max", "max") == "max"


def test_the_cache_of_files_counts_as_free(group: dict[str, Any]) -> None:
    """The kernel takes it back without asking."""
    assert memory.used(group) == 700_000


def test_the_kernels_kills_are_counted(group: dict[str, Any]) -> None:
    """In the file that the version has for it."""
    assert memory._kills(group) == 3


def test_a_process_is_known_by_its_id_and_its_beginning() -> None:
    """So that a signal never meets another that got the same id."""
    with subprocess.Popen(["sleep", "60"]) as child:
        began = processes.started(child.pid)
        assert not processes.send(child.pid, began + 1, "KILL")
        assert child.poll() is None
        assert processes.send(child.pid, began, "KILL")
    assert child.returncode == -9
    assert processes.started(child.pid) == 0


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """What runs in the surgeon, on a machine that has no envctl; what it is sent is kept in a folder of the test's."""
    monkeypatch.setattr(operations, "PLACE", str(tmp_path / "operations"))
    alone = [sys.executable, "-I", *operations.command()[1:]]
    with subprocess.Popen(
        alone, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd="/"
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()
        assert process.wait(10) == 0


def asked(server: subprocess.Popen[str], name: str, *, sources: bool = False, **arguments: object) -> dict[str, Any]:
    """One call, and its answer."""
    assert server.stdin
    assert server.stdout
    server.stdin.write(json.dumps(operations.call(name, arguments, sources=sources)) + "\n")
    server.stdin.flush()
    return dict(json.loads(server.stdout.readline()))


def test_an_operation_is_sent_with_all_that_it_needs_and_then_known(server: subprocess.Popen[str]) -> None:
    """Who does not know it yet says so."""
    assert asked(server, "processes.started", pid=os.getpid()) == {"unknown": True}
    for sources in (True, False, True):
        told = asked(server, "processes.started", sources=sources, pid=os.getpid())
        assert told == {"answer": processes.started(os.getpid())}


@pytest.mark.parametrize("operation", ["starving", "memory", "descriptors", "looping", "limits", "network", "java"])
def test_every_operation_stands_alone(server: subprocess.Popen[str], operation: str) -> None:
    """Sent and loaded without anything of this machine; the function that is asked for is not there."""
    assert asked(server, f"{operation}.none", sources=True)["error"].startswith("AttributeError")


def test_what_fails_takes_no_other_call_with_it_and_what_goes_on_is_found(
    server: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Its last line is told, and the next call is answered; the answer does not wait for what goes on."""
    assert asked(server, "processes.started", sources=True) == {
        "error": "TypeError: started() missing 1 required positional argument: 'pid'"
    }
    token = secrets.token_hex(4)
    (tmp_path / "cgroup.procs").touch()
    begun = asked(server, "looping.begin", folder=str(tmp_path), lives=1, token=token, seconds=60)
    assert begun == {"answer": None}
    assert asked(server, "looping.end", token=token) == {"answer": 1}
    assert asked(server, "looping.end", token=token) == {"answer": 0}


def test_a_process_from_outside_has_no_origin() -> None:
    """A health check, say: its limits are not touched."""
    known = {(os.getpid(), processes.started(os.getpid())): {"soft": 1}}
    with subprocess.Popen(["sleep", "60"]) as child:
        assert descriptors._origin(child.pid, known) == {"soft": 1}
        child.kill()
    assert descriptors._origin(os.getppid(), known) == {}

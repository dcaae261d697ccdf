"""Memory of a group: how much is in use, that there is no more, and what the kernel does about it."""

from __future__ import annotations

import errno
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from envctl.engine.operations import cgroups, limits, processes

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK = 1 << 18
_LOOK = 0.005
"""Seconds between two looks at a child."""


def look(pid: int) -> dict[str, Any]:
    """The group of a process, its limits, and what it uses."""
    seen = limits.look(pid, "memory")
    return {**seen, "used": used(seen["group"])}


def used(group: dict[str, Any]) -> int:
    """Bytes that the kernel cannot take back: all but the cache of files."""
    old = group["version"] == 1
    total = int(cgroups.read(group, "memory.usage_in_bytes" if old else "memory.current"))
    stat, prefix = cgroups.table(group, "memory.stat"), "total_" if old else ""
    reclaimable = ("active_file", "inactive_file", *(() if old else ("slab_reclaimable",)))
    return total - sum(stat[prefix + name] for name in reclaimable)


def largest(group: dict[str, Any]) -> dict[str, Any]:
    """The process with the most memory: what the kernel would choose."""
    return max((describe(pid) for pid in cgroups.members(group["folder"])), key=lambda process: process["bytes"])


def describe(pid: int) -> dict[str, Any]:
    """One process as a victim: with the score that the kernel adds to its size."""
    resident = processes.status(pid, "VmRSS").removesuffix("kB").strip() or "0"
    found = {"pid": pid, "began": processes.started(pid), "name": processes.status(pid, "Name")}
    return {**found, "bytes": int(resident) * 1024, "score": _score(pid)}


def press(group: dict[str, Any], most: int, seconds: float) -> dict[str, Any]:
    """Take memory under the group's limits, at most so much and so long: how much there was, and how it was refused.

    The memory belongs to a file that has no name, so that none of it is left.
    """
    before = _slowed(group)

    def enough() -> str:
        return "waits" if _waits(group) else "slowed" if _slowed(group) > before else ""

    return _fill(group, most, seconds, enough)


def overfill(
    group: dict[str, Any],
    limits_before: dict[str, str],
    wanted: dict[str, str],
    victim: dict[str, Any],
    token: str,
    seconds: float,
) -> dict[str, Any]:
    """Lower the limit, have the kernel prefer the victim, and fill the group until the kernel has killed one; then
    give the limit back. How many it has killed, and whether the victim is gone; where it is already, nobody else is
    killed.
    """
    if processes.started(victim["pid"]) != victim["began"]:
        return {"oom_kills": 0, "gone": True}
    before, seen, over = _kills(group), 0, time.monotonic() + seconds

    def killed() -> str:
        return str(_kills(group) - before or "")

    limits.impose(group, limits_before, wanted, token, seconds)
    try:
        _prefer(victim, 1000)
        seen = int(_fill(group, 1 << 40, seconds, killed)["refused"] or 0)
    except OSError:
        pass  # the container went, and its group, before it could be asked; the engine heard of it
    finally:
        relieve(group, limits_before, victim, token)
    # One that was killed needs a moment to give hundreds of megabytes back.
    while processes.started(victim["pid"]) == victim["began"] and time.monotonic() < over:
        time.sleep(_LOOK)
    return {"oom_kills": seen, "gone": processes.started(victim["pid"]) != victim["began"]}


def relieve(group: dict[str, Any], limits_before: dict[str, str], victim: dict[str, Any], token: str) -> bool:
    """Give the limits back, and a victim that lives its score; False when the group went."""
    _prefer(victim, victim["score"])
    return limits.lift(group, limits_before, token)


def _prefer(victim: dict[str, Any], score: int) -> None:
    if processes.started(victim["pid"]) == victim["began"]:
        with suppress(*processes.GONE), open(f"/proc/{victim['pid']}/oom_score_adj", "w") as stream:  # noqa: PTH123
            stream.write(str(score))


def _score(pid: int) -> int:
    with suppress(*processes.GONE), open(f"/proc/{pid}/oom_score_adj") as stream:  # noqa: PTH123
        return int(stream.read())
    return 0


def _kills(group: dict[str, Any]) -> int:
    file = "memory.oom_control" if group["version"] == 1 else "memory.events"
    return cgroups.table(group, file)["oom_kill"]


def _slowed(group: dict[str, Any]) -> int:
    """How often version 2 slowed the group down at its high mark; version 1 refuses instead."""
    return 0 if group["version"] == 1 else cgroups.table(group, "memory.events")["high"]


def _waits(group: dict[str, Any]) -> bool:
    """Whether processes of the group stand still for want of memory: with version 1, where none may be killed."""
    if group["version"] != 1:
        return False
    state = cgroups.table(group, "memory.oom_control")
    return bool(state["oom_kill_disable"] and state["under_oom"])


def _fill(group: dict[str, Any], most: int, seconds: float, enough: Callable[[], str]) -> dict[str, Any]:
    """Have a child take memory under the group's limits, until the kernel refuses it or it is `enough`; that ends it,
    also where it stands still. The bytes that it got, and why no more.
    """
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    child = os.fork()
    if not child:
        try:
            cgroups.join(group)
            _take(most, writing)
        finally:
            os._exit(0)
    over, told, why = time.monotonic() + seconds, b"", ""
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        told = _heard(reading, told)
        if (why := enough()) or time.monotonic() > over:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(_LOOK)
    words = _heard(reading, told).decode().split() or ["0"]
    refused = words.pop() if words[-1].isalpha() else ""
    return {"bytes": int(words[-1]) if words else 0, "refused": why or enough() or refused}


def _take(most: int, pipe: int) -> None:
    taken, block, file = 0, bytes(_BLOCK), os.memfd_create("ballast")
    while taken < most:
        try:
            taken += os.write(file, block)
        except OSError as error:
            os.write(pipe, f"{errno.errorcode[error.errno or 0]} ".encode())
            return
        os.write(pipe, f"{taken} ".encode())


def _heard(pipe: int, before: bytes) -> bytes:
    with suppress(BlockingIOError):
        while new := os.read(pipe, 65536):
            before += new
    return before

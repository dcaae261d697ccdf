"""Memory of a group: how much is in use, that there is no more, and what the kernel does about it."""

from __future__ import annotations

import errno
import json
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

    The memory belongs to a file that has no name, so that none of it is left, and no page fault waits for it.
    """
    before = _held_back(group)

    def refused() -> str:
        return "held back" if _held_back(group) > before else ""

    return _in_child(group, lambda tell: _fill(most, seconds, refused, tell), seconds)


def overfill(
    group: dict[str, Any],
    limits_before: dict[str, str],
    wanted: dict[str, str],
    victim: dict[str, Any],
    token: str,
    seconds: float,
) -> dict[str, Any]:
    """Lower the limit, have the kernel prefer the victim, and fill the group until the kernel has killed one; then
    give the limit back. How many it has killed, and whether the victim is gone.
    """
    before = _kills(group)

    def killed() -> int:
        return _kills(group) - before

    limits.impose(group, limits_before, wanted, token, seconds)
    try:
        _prefer(victim, 1000)
        filled = _in_child(group, lambda tell: _fill(1 << 40, seconds, killed, tell), seconds)
    finally:
        relieve(group, limits_before, victim, token)
    gone = processes.started(victim["pid"]) != victim["began"]
    return {"oom_kills": int(filled["refused"] or 0), "gone": gone}


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


def _held_back(group: dict[str, Any]) -> int:
    """How often version 2 slowed the group down at its high mark; version 1 refuses instead."""
    return 0 if group["version"] == 1 else cgroups.table(group, "memory.events")["high"]


def _fill(most: int, seconds: float, refused: Callable[[], object], tell: Callable[[dict[str, Any]], None]) -> None:
    over, taken, block = time.monotonic() + seconds, 0, bytes(_BLOCK)
    file = os.memfd_create("ballast")
    while taken < most and time.monotonic() < over:
        try:
            taken += os.write(file, block)
        except OSError as error:
            if error.errno not in {errno.ENOMEM, errno.ENOSPC}:
                raise
            tell({"bytes": taken, "refused": errno.errorcode[error.errno]})
            return
        why = refused()
        tell({"bytes": taken, "refused": why})
        if why:
            return


def _in_child(
    group: dict[str, Any], act: Callable[[Callable[[dict[str, Any]], None]], None], seconds: float
) -> dict[str, Any]:
    """Have a child do something under the group's limits; what it told last. One that waits for memory there, which
    nothing will free, is killed: it was refused.
    """
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    child = os.fork()
    if not child:
        try:
            cgroups.join(group)
            act(lambda found: _tell(writing, found))
        finally:
            os._exit(0)
    os.close(writing)
    over, told, waits = time.monotonic() + seconds + 1, b"", False
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        told = _heard(reading, told)
        waits = _waits(group) or time.monotonic() > over
        if waits:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(_LOOK)
    lines = _heard(reading, told).splitlines()
    last: dict[str, Any] = json.loads(lines[-1]) if lines else {"bytes": 0, "refused": ""}
    return {**last, "refused": "waits"} if waits else last


def _tell(pipe: int, found: dict[str, Any]) -> None:
    os.write(pipe, json.dumps(found).encode() + b"\n")


def _heard(pipe: int, before: bytes) -> bytes:
    with suppress(BlockingIOError):
        while new := os.read(pipe, 65536):
            before += new
    return before


def _waits(group: dict[str, Any]) -> bool:
    """Whether processes of the group stand still for want of memory: with version 1, where none may be killed."""
    if group["version"] != 1:
        return False
    state = cgroups.table(group, "memory.oom_control")
    return bool(state["oom_kill_disable"] and state["under_oom"])

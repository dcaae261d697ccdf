"""Memory of a group: how much is in use, that there is no more, and what the kernel does about it."""

from __future__ import annotations

import errno
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from envctl.engine.operations import cgroups, leases, limits, processes

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK = 1 << 18


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

    return _in_child(group, lambda: _fill(most, seconds, refused), seconds)


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
    limits.impose(group, limits_before, wanted, token, seconds)
    try:
        _prefer(victim, 1000)
        filled = _in_child(group, lambda: _fill(1 << 40, seconds, lambda: _kills(group) - before), seconds)
    finally:
        spare(victim)
        limits.lift(group, limits_before, token)
    gone = processes.started(victim["pid"]) != victim["began"]
    return {"oom_kills": int(filled["refused"] or 0), "gone": gone}


def spare(victim: dict[str, Any]) -> None:
    """Take the preference back from a victim that lives."""
    _prefer(victim, victim["score"])


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


def _fill(most: int, seconds: float, refused: Callable[[], object]) -> dict[str, Any]:
    over, taken, block = time.monotonic() + seconds, 0, bytes(_BLOCK)
    file = os.memfd_create("ballast")
    while taken < most and time.monotonic() < over:
        try:
            taken += os.write(file, block)
        except OSError as error:
            if error.errno not in {errno.ENOMEM, errno.ENOSPC}:
                raise
            return {"bytes": taken, "refused": errno.errorcode[error.errno]}
        if why := refused():
            return {"bytes": taken, "refused": why}
    return {"bytes": taken, "refused": ""}


def _in_child(group: dict[str, Any], act: Callable[[], dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Have a child do something under the group's limits: one that stands still there is killed, and refused."""
    import json

    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            cgroups.join(group)
            os.write(writing, json.dumps(act()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    over = time.monotonic() + seconds + 1
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > over:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.005)
    answer = os.read(reading, 4096)
    return json.loads(answer) if answer else {"bytes": 0, "refused": "stands still"}


def end(token: str) -> int:
    """End what would give a limit back by itself."""
    return leases.end(token)

"""Limits of open files, of each process of a group."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from envctl.engine.operations import cgroups, leases, processes

_ROUNDS = 20
"""Looks for processes that were forked meanwhile."""


def look(pid: int) -> dict[str, Any]:
    """The group of a process, and the limits of each process in it, its own first."""
    group = cgroups.find(pid, "memory")
    others = (member for member in cgroups.members(group["folder"]) if member != pid)
    found = (_describe(member) for member in (pid, *others))
    return {"group": group, "processes": [process for process in found if process]}


def exhaust(group: dict[str, Any], recorded: list[dict[str, Any]], token: str, seconds: float) -> None:
    """Lower the soft limits to what is open; they come back by themselves after so many seconds."""
    leases.after(token, seconds, lambda: _restore(group, recorded))
    tighten(group, recorded)


def tighten(group: dict[str, Any], recorded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The processes that could have opened a file, until now: what they close makes room for others.

    A process's limit becomes the lowest number that is free: then it can open nothing, and what is open stays.
    """
    loose = [process for process, _ in _descended(group, recorded) if process["free"] < process["soft"]]
    for process in loose:
        _set(process["pid"], process["free"])
    return loose


def give_back(group: dict[str, Any], recorded: list[dict[str, Any]], token: str) -> bool:
    """Give every process its limit back, also those that were forked meanwhile; False when the group went."""
    leases.end(token)
    return _restore(group, recorded)


def differences(group: dict[str, Any], recorded: list[dict[str, Any]]) -> list[str]:
    """Which processes have not the limit that they, or those that they were forked from, had."""
    return [
        f"process {process['pid']} may open {process['soft']} files instead of {origin['soft']}"
        for process, origin in _lowered(group, recorded)
    ]


def _restore(group: dict[str, Any], recorded: list[dict[str, Any]]) -> bool:
    for _ in range(_ROUNDS):
        lowered = _lowered(group, recorded)
        if not lowered:
            break
        for process, origin in lowered:
            _set(process["pid"], origin["soft"])
    return cgroups.is_there(group)


def _lowered(group: dict[str, Any], recorded: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The processes that have less than they, or those that they were forked from, had; more is their own doing."""
    return [pair for pair in _descended(group, recorded) if pair[0]["soft"] < pair[1]["soft"]]


def _descended(group: dict[str, Any], recorded: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each process of the group with what was recorded of it, or of the nearest that it was forked from.

    Those that came from outside, such as health checks and `docker exec`, are nobody's: they are left alone.
    """
    if not cgroups.is_there(group):
        return []
    known = {(one["pid"], one["began"]): one for one in recorded}
    pairs = ((_describe(pid), _origin(pid, known)) for pid in cgroups.members(group["folder"]))
    return [(process, origin) for process, origin in pairs if process and origin]


def _origin(pid: int, known: dict[tuple[int, int], dict[str, Any]]) -> dict[str, Any]:
    """What was recorded of a process, or of the nearest that it was forked from; empty when it came from outside."""
    while pid > 1:
        if (pid, processes.started(pid)) in known:
            return known[pid, processes.started(pid)]
        pid = int(processes.status(pid, "PPid") or 0)
    return {}


def _describe(pid: int) -> dict[str, Any]:
    """Empty when it is gone."""
    with suppress(*processes.GONE), open(f"/proc/{pid}/limits") as stream:  # noqa: PTH123
        soft, hard = next(line.split()[3:5] for line in stream if line.startswith("Max open files"))
        held = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH208
        free = next(number for number in range(len(held) + 1) if number not in held)
        numbers = {"soft": int(soft), "hard": int(hard), "free": free}
        return {"pid": pid, "began": processes.started(pid), **numbers} if processes.started(pid) else {}
    return {}


def _set(pid: int, soft: int) -> None:
    """As the process's own user: another's limits take a right that engines do not always have to give."""
    user, group = (processes.status(pid, field).split() for field in ("Uid", "Gid"))
    if not user or not group:
        return
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setgroups([])
        os.setresgid(*map(int, group[:3]))
        os.setresuid(*map(int, user[:3]))
        os.execvp("prlimit", ["prlimit", "--pid", str(pid), f"--nofile={soft}:"])  # noqa: S606
    finally:
        os._exit(1)

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
    tighten(group)


def tighten(group: dict[str, Any]) -> list[dict[str, Any]]:
    """The processes of the group that could have opened a file, until now: what they close makes room for others.

    A process's limit becomes the lowest number that is free: then it can open nothing, and what is open stays.
    """
    found = (_describe(pid) for pid in cgroups.members(group["folder"]))
    loose = [process for process in found if process and process["free"] < process["soft"]]
    for process in loose:
        _set(process["pid"], process["free"])
    return loose


def give_back(group: dict[str, Any], recorded: list[dict[str, Any]], token: str) -> bool:
    """Give every process its limit back, also those that were forked meanwhile; False when the group went."""
    leases.end(token)
    return _restore(group, recorded)


def differences(group: dict[str, Any], recorded: list[dict[str, Any]]) -> list[str]:
    """Which processes have not the limit that they, or those that they were forked from, had."""
    if not cgroups.is_there(group):
        return []
    now = (_describe(pid) for pid in cgroups.members(group["folder"]))
    pairs = ((process, _origin(process["pid"], recorded)) for process in now if process)
    return [
        f"process {process['pid']} may open {process['soft']} files instead of {origin['soft']}"
        for process, origin in pairs
        if process["soft"] != origin["soft"] and _is_ours(process, origin)
    ]


def _restore(group: dict[str, Any], recorded: list[dict[str, Any]]) -> bool:
    if not cgroups.is_there(group):
        return False
    for _ in range(_ROUNDS):
        wrong = 0
        for pid in cgroups.members(group["folder"]):
            process, origin = _describe(pid), _origin(pid, recorded)
            if process and process["soft"] != origin["soft"] and _is_ours(process, origin):
                wrong += 1
                _set(pid, origin["soft"])
        if not wrong:
            break
    return True


def _is_ours(process: dict[str, Any], origin: dict[str, Any]) -> bool:
    """Whether its limit was lowered here, itself or before it was forked; one that raised its own keeps that."""
    recorded = (process["pid"], process["began"]) == (origin["pid"], origin["began"])
    return recorded or process["soft"] < origin["soft"]


def _origin(pid: int, recorded: list[dict[str, Any]]) -> dict[str, Any]:
    """What was recorded of a process, or of the nearest that it was forked from; else of the first."""
    known = {(one["pid"], one["began"]): one for one in recorded}
    while pid > 1:
        if (pid, processes.started(pid)) in known:
            return known[pid, processes.started(pid)]
        pid = int(processes.status(pid, "PPid") or 0)
    return recorded[0]


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

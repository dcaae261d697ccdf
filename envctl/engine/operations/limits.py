"""Limits of a container's control group: recorded as numbers, changed, and given back as the numbers they were."""

from __future__ import annotations

from typing import Any

from envctl.engine.operations import cgroups, leases

_FILES = {
    ("cpu", 1): ("cpu.cfs_period_us", "cpu.cfs_quota_us"),
    ("cpu", 2): ("cpu.max",),
    # In the order in which they are given back: where processes wait for memory, they must have it before the kernel
    # may kill them again.
    ("memory", 1): ("memory.limit_in_bytes", "memory.swappiness", "memory.oom_control"),
    ("memory", 2): ("memory.max", "memory.high", "memory.swap.max"),
}


def look(pid: int, controller: str) -> dict[str, Any]:
    """The group of a process and its limits by file, as they are."""
    group = cgroups.find(pid, controller)
    return {"group": group, "limits": _read(group, controller)}


def again(group: dict[str, Any], controller: str) -> dict[str, str]:
    """The limits as they are now; none where the group is gone."""
    try:
        return _read(group, controller) if cgroups.is_there(group) else {}
    except OSError:
        if cgroups.is_there(group):
            raise
        return {}


def impose(
    group: dict[str, Any], limits: dict[str, str], wanted: dict[str, str], token: str, seconds: float
) -> dict[str, str]:
    """Set the `wanted` limits; `limits` come back by themselves after so many seconds, whoever else died."""
    leases.after(token, seconds, lambda: restore(group, limits))
    for file, value in wanted.items():
        cgroups.write(group, file, value)
    return {file: cgroups.read(group, file) for file in wanted}


def lift(group: dict[str, Any], limits: dict[str, str], token: str) -> bool:
    """Give the limits back, and end what would have; False when the group went, and the change with it."""
    leases.end(token)
    return restore(group, limits)


def restore(group: dict[str, Any], limits: dict[str, str]) -> bool:
    """Write what was recorded where it differs."""
    try:
        for file, value in limits.items() if cgroups.is_there(group) else ():
            if cgroups.read(group, file) != value:
                cgroups.write(group, file, value)
    except OSError:
        if cgroups.is_there(group):
            raise
    return cgroups.is_there(group)


def _read(group: dict[str, Any], controller: str) -> dict[str, str]:
    files = _FILES[controller, group["version"]]
    return {file: cgroups.read(group, file) for file in files if cgroups.has(group, file)}

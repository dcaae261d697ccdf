"""Killing a container's main process each time it comes up."""

from __future__ import annotations

import time
from typing import Any

from envctl.engine.operations import cgroups, leases, processes

_LOOK = 0.02
"""Seconds between two looks for a new main process."""

_RUNTIMES = ("runc", "crun", "youki", "exe")
"""What a container's first process is called before it becomes the container's program. An engine whose start of a
container fails, because this was killed, does not try again, whatever the restart policy."""


def begin(folder: str, lives: float, token: str, seconds: float) -> None:
    """For so many seconds let each main process of the group in that folder live for `lives` seconds, then kill it."""
    leases.fork(token, lambda: _loop(folder, lives, seconds))


def end(token: str) -> int:
    """End the loop; how many there were."""
    return leases.end(token)


def folder(pid: int) -> dict[str, Any]:
    """The group in which every main process of the same container is found, also the next ones."""
    return cgroups.find(pid, "memory")


def _loop(folder: str, lives: float, seconds: float) -> None:
    over = time.monotonic() + seconds
    first_seen: dict[tuple[int, int], float] = {}
    while time.monotonic() < over:
        now = time.monotonic()
        mains = {(pid, processes.started(pid)) for pid in cgroups.members(folder) if _is_program(pid)}
        first_seen = {key: first_seen.get(key, now) for key in mains}
        for (pid, began), seen in first_seen.items():
            if now - seen >= lives:
                processes.send(pid, began, "KILL")
        time.sleep(_LOOK)


def _is_program(pid: int) -> bool:
    return processes.is_main(pid) and not processes.status(pid, "Name").startswith(_RUNTIMES)

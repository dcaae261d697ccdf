"""Killing a container's main process each time it comes up."""

from __future__ import annotations

import time
from typing import Any

from envctl.engine.operations import cgroups, leases, processes

_LOOK = 0.02
"""Seconds between two looks for a new main process."""


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
        mains = {(pid, processes.started(pid)) for pid in cgroups.members(folder) if processes.is_main(pid)}
        first_seen = {key: first_seen.get(key, now) for key in mains}
        for (pid, began), seen in first_seen.items():
            if now - seen >= lives:
                processes.send(pid, began, "KILL")
        time.sleep(_LOOK)

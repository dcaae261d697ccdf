"""Who an environment belongs to, in a label: a user, or one process that can be proved dead."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

USER = "user"
"""The owner of an environment that stays until `down` or its time to live."""

_SAME_START = 2.0
"""Seconds by which two readings of one process's start may differ: clocks are adjusted, processes are not reborn."""


def this_process() -> str:
    """The current process as an owner: `process:<place>:<pid>:<start, Unix seconds>`."""
    import psutil

    return f"process:{_place()}:{os.getpid()}:{psutil.Process().create_time():.0f}"


def provably_dead(owner: str) -> bool:
    """Whether the owner is a process of this very place that runs no more.

    A user never dies; a process of another machine or process namespace cannot be seen from here, so it counts as
    alive: nothing is removed on a guess.
    """
    import psutil

    kind, _, rest = owner.partition(":")
    parts = rest.split(":")
    if kind != "process" or len(parts) != 3 or parts[0] != _place():  # noqa: PLR2004 - place, pid, start
        return False
    try:
        process = psutil.Process(int(parts[1]))
        return abs(process.create_time() - float(parts[2])) > _SAME_START or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def process_id(owner: str) -> int | None:
    """The pid of a process owner, None for a user."""
    parts = owner.split(":")
    return int(parts[2]) if parts[0] == "process" and len(parts) == 4 else None  # noqa: PLR2004 - the label's form


def _place() -> str:
    """The machine and process namespace: a pid means something only there."""
    machine = Path("/etc/machine-id")
    identity = machine.read_text().strip() if machine.exists() else str(uuid.getnode())
    namespace = Path("/proc/self/ns/pid")
    if namespace.exists():
        identity += str(namespace.readlink())
    return hashlib.sha256(identity.encode()).hexdigest()[:12]

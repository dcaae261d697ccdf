"""Who an environment belongs to, in a label: a user, or one process that can be proved dead."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

USER = "user"
"""The owner of an environment that stays until `down` or its time to live."""


def this_process() -> str:
    """The current process as an owner: `process:<place>:<pid>:<start>`."""
    return f"process:{_place()}:{os.getpid()}:{_start(os.getpid())}"


def provably_dead(owner: str) -> bool:
    """Whether the owner is a process of this very place that runs no more.

    A user never dies; a process of another machine or process namespace cannot be seen from here, so it counts as
    alive: nothing is removed on a guess.
    """
    kind, _, rest = owner.partition(":")
    parts = rest.split(":")
    if kind != "process" or len(parts) != 3 or parts[0] != _place():  # noqa: PLR2004 - place, pid, start
        return False
    return _start(int(parts[1])) != parts[2]


def _start(pid: int) -> str:
    """When a process started, by a clock that nobody sets; empty when it runs no more, zombies included.

    On Linux that is the kernel's, with the boot that it counts from: the wall-clock time of a start moves whenever the
    clock is set, by NTP or after a sleep. Elsewhere the kernel keeps the wall-clock time of the start itself.
    """
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.exists():
        try:
            # proc(5): what follows the name in parentheses begins with field 3, the state; field 22 is the start.
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode().split()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return "" if fields[0] in "ZX" else f"{boot.read_text()[:8]}-{fields[19]}"
    import psutil

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.NoSuchProcess:
        return ""


def process_id(owner: str) -> int | None:
    """The pid of a process owner, None for a user."""
    parts = owner.split(":")
    return int(parts[2]) if parts[0] == "process" and len(parts) == 4 else None  # noqa: PLR2004 - the label's form


def _place() -> str:
    """The machine and process namespace: a pid means something only there."""
    machine = Path("/etc/machine-id")
    # Images of containers often have it empty.
    identity = (machine.read_text().strip() if machine.exists() else "") or str(uuid.getnode())
    namespace = Path("/proc/self/ns/pid")
    if namespace.exists():
        identity += str(namespace.readlink())
    return hashlib.sha256(identity.encode()).hexdigest()[:12]

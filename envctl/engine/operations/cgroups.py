"""Control groups of other containers: version 1 (a folder for each controller) and 2 (one folder for all)."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

ROOT = "/sys/fs/cgroup"


def find(pid: int, controller: str) -> dict[str, Any]:
    """The group of a process: its folder, which folder of that name it is, and the version."""
    with open(f"/proc/{pid}/cgroup") as stream:  # noqa: PTH123
        lines = [line.rstrip("\n").split(":", 2) for line in stream]
    for _, names, path in lines:
        if controller in names.split(","):
            mounted = controller if os.path.isdir(f"{ROOT}/{controller}") else names  # noqa: PTH112
            return _group(f"{ROOT}/{mounted}{path}", 1)
    return _group(ROOT + next(path for _, names, path in lines if not names), 2)


def is_there(group: dict[str, Any]) -> bool:
    """Whether it is still the same group: a container that starts anew gets a new one in the same place."""
    with suppress(FileNotFoundError):
        return bool(os.stat(group["folder"]).st_ino == group["inode"])  # noqa: PTH116
    return False


def read(group: dict[str, Any], file: str) -> str:
    """What a file of it says; of several lines the first one's last word (`oom_kill_disable 0`)."""
    with open(f"{group['folder']}/{file}") as stream:  # noqa: PTH123
        text = stream.read().strip()
    return text.splitlines()[0].split()[-1] if "\n" in text else text


def write(group: dict[str, Any], file: str, value: str) -> None:
    """Set it."""
    with open(f"{group['folder']}/{file}", "w") as stream:  # noqa: PTH123
        stream.write(value)


def table(group: dict[str, Any], file: str) -> dict[str, int]:
    """A file of names and numbers, such as `cpu.stat`."""
    with open(f"{group['folder']}/{file}") as stream:  # noqa: PTH123
        return {name: int(value) for name, value in (line.split() for line in stream)}


def has(group: dict[str, Any], file: str) -> bool:
    """Whether this kernel has that file."""
    return os.path.exists(f"{group['folder']}/{file}")  # noqa: PTH110


def members(folder: str) -> list[int]:
    """Its processes, those of groups below it too; none where it is gone."""
    found: list[int] = []
    for below, _, _ in os.walk(folder):
        with suppress(OSError), open(f"{below}/cgroup.procs") as stream:  # noqa: PTH123
            found += map(int, stream.read().split())
    return [pid for pid in found if pid]


def join(group: dict[str, Any]) -> None:
    """Put this process under its limits."""
    write(group, "cgroup.procs", str(os.getpid()))


def _group(folder: str, version: int) -> dict[str, Any]:
    return {"folder": folder, "inode": os.stat(folder).st_ino, "version": version}  # noqa: PTH116

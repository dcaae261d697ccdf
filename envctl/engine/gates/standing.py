"""How a gate comes to stand, and that it does: its process, and what it knows of how things were before it, in a file
for whoever ends it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE, _LOOK = 5.0, 0.02


def _place(name: str) -> str:
    return f"/run/{name}.json"


def leave(stay: Callable[[Callable[[dict[str, Any]], None]], None]) -> None:
    """Have a process of its own `stay`, which gets a function by which it says that it stands, and with what; that is
    printed, and the process that calls ends then, with code 1 where it did not come to that. There SIGTERM raises
    SystemExit.
    """
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with os.fdopen(reader) as report:
            said = report.read()
        sys.stdout.write(said)
        sys.exit(0 if said else 1)
    os.setsid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    def stands(facts: dict[str, Any]) -> None:
        os.write(writer, json.dumps(facts).encode())
        os.close(writer)
        # Whoever started this waits for its streams.
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)

    stay(stands)


def note(name: str, **facts: object) -> None:
    """Say that the gate of that name is the process that calls."""
    unfinished = _place(name) + ".new"
    with open(unfinished, "w") as file:  # noqa: PTH123 - `pathlib` is not in the smallest standard library
        json.dump({"pid": os.getpid(), **facts}, file)
    os.replace(unfinished, _place(name))  # noqa: PTH105 - whoever reads meanwhile has one or the other


def facts(name: str) -> dict[str, Any]:
    """What was noted; nothing where it is gone."""
    with suppress(OSError, ValueError), open(_place(name)) as file:  # noqa: PTH123
        return dict(json.load(file))
    return {}


def forget(name: str) -> None:
    """Say that it is gone."""
    with suppress(FileNotFoundError):
        os.unlink(_place(name))  # noqa: PTH108


def alive(name: str) -> int:
    """The gate's process id, 0 when it is gone; a process that only has its number is another."""
    pid = int(facts(name).get("pid", 0))
    with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
        return pid if name.encode() in file.read().split(b"\0") else 0
    return 0


def stop(name: str) -> None:
    """Have it end, by force when it does not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if pid := alive(name):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        last = time.monotonic() + _PATIENCE
        while alive(name) and time.monotonic() < last:
            select.select([], [], [], _LOOK)

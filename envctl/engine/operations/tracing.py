"""The tracer of system calls (compose/images/tools/syscalls): what it says, how it ends, and whom it holds.

Its ledger, a file in the surgeon, belongs to one run: the tracer makes it, and ends at once where there is one. So
marking it also keeps back a tracer that was ordered and has not started yet.
"""

from __future__ import annotations

import json
import os
import select
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "envctl-syscalls"
_OVER = "over"
_PATIENCE = 2000
"""Milliseconds for each of its two ways to end."""


def said(ledger: str) -> dict[str, Any]:
    """What it has written; empty where it has not started, or is over."""
    text = ""
    with suppress(FileNotFoundError), open(ledger) as stream:  # noqa: PTH123 - pathlib costs 10 ms here
        text = stream.read().strip()
    return json.loads(text) if text not in {"", _OVER} else {}


def end(ledger: str) -> bool:
    """End it, and let none start with this ledger; whether that had been done before."""
    with open(os.open(ledger, os.O_CREAT | os.O_RDWR, 0o600), "r+") as stream:  # noqa: PTH123
        before = stream.read()
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        with suppress(OSError):
            _end(int(name), ledger)
    left = [name for name in filter(str.isdigit, os.listdir("/proc")) if _is_tracer(name, ledger)]  # noqa: PTH208
    if left:
        raise TimeoutError(f"the tracer does not end: {', '.join(left)}")
    with open(ledger, "w") as stream:  # noqa: PTH123
        stream.write(_OVER)
    return before == _OVER


def threads(pid: int) -> dict[str, int]:
    """The threads of a process and its descendants, and how many of them are `traced`, or stand still for a tracer."""
    found = list(_states(pid))
    return {"threads": len(found), "traced": sum(tracer != "0" or state == "t" for tracer, state in found)}


def _end(pid: int, ledger: str) -> None:
    """By SIGTERM it gives those the answer that wait for one; SIGKILL is for one that stands still itself."""
    held = os.pidfd_open(pid)
    try:
        # The id was held before its owner was asked for: it cannot have become another's in between.
        if not _is_tracer(str(pid), ledger):
            return
        over = select.poll()
        over.register(held, select.POLLIN)
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(held, number)
            if over.poll(_PATIENCE):
                return
    finally:
        os.close(held)


def _is_tracer(pid: str, ledger: str) -> bool:
    with suppress(OSError), open(f"/proc/{pid}/cmdline") as stream:  # noqa: PTH123
        return stream.read().split("\0")[:2] == [NAME, ledger]
    return False


def _states(pid: int) -> Iterator[tuple[str, str]]:
    """Tracer and state of each thread."""
    for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
        with suppress(FileNotFoundError, ProcessLookupError):
            folder = f"/proc/{pid}/task/{task}"
            with open(f"{folder}/status") as stream:  # noqa: PTH123
                fields = dict(line.split(":", 1) for line in stream)
            yield fields["TracerPid"].strip(), fields["State"].split()[0]
            with open(f"{folder}/children") as stream:  # noqa: PTH123
                children = stream.read().split()
            for child in children:
                yield from _states(int(child))

"""The tools that reach into processes (compose/images/tools: syscalls, clock): what they say, how they end, whom one
holds.

A tool's ledger, a file in the surgeon, belongs to one run: the tool makes it, and ends at once where there is one. So
marking it also keeps back a tool that was ordered and has not started yet.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSCALLS = "envctl-syscalls"
CLOCK = "envctl-clock"
PACKETS = "envctl-packets"
_OVER = "over"
_PATIENCE = 2000
"""Milliseconds for each of a tool's two ways to end."""


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
    for pid in running(ledger):
        with suppress(OSError):
            _end(pid, ledger)
    if left := running(ledger):
        raise TimeoutError(f"the tool does not end: {', '.join(map(str, left))}")
    with open(ledger, "w") as stream:  # noqa: PTH123
        stream.write(_OVER)
    return before == _OVER


def running(ledger: str) -> list[int]:
    """The tools with this ledger; the one that was noted, where one was: to ask all processes takes time."""
    with suppress(FileNotFoundError), open(_note(ledger)) as stream:  # noqa: PTH123
        pid = stream.read()
        return [int(pid)] if pid and _is_tool(pid, ledger) else []
    return [int(name) for name in filter(str.isdigit, os.listdir("/proc")) if _is_tool(name, ledger)]  # noqa: PTH208


def become(command: list[str]) -> None:
    """Be a tool from now on, and note which process that is."""
    with open(_note(command[1]), "w") as stream:  # noqa: PTH123
        stream.write(str(os.getpid()))
    os.execvp(command[0], command)  # noqa: S606


def _note(ledger: str) -> str:
    return f"{ledger}.pid"


def threads(pid: int) -> dict[str, int]:
    """The threads of a process and its descendants, and how many of them are `traced`, or stand still for a tracer."""
    found = list(_states(pid))
    return {"threads": len(found), "traced": sum(tracer != "0" or state == "t" for tracer, state in found)}


def restore_clock(pid: int) -> dict[str, Any]:
    """Give a process and its descendants the kernel's own clock back; how many had another (`changed`)."""
    done = subprocess.run([CLOCK, "restore", str(pid)], capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _end(pid: int, ledger: str) -> None:
    """By SIGTERM it ends in order; SIGKILL is for one that stands still itself."""
    held = os.pidfd_open(pid)
    try:
        # The id was held before its owner was asked for: it cannot have become another's in between.
        if not _is_tool(str(pid), ledger):
            return
        over = select.poll()
        over.register(held, select.POLLIN)
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(held, number)
            if over.poll(_PATIENCE):
                return
    finally:
        os.close(held)


def _is_tool(pid: str, ledger: str) -> bool:
    with suppress(OSError), open(f"/proc/{pid}/cmdline") as stream:  # noqa: PTH123
        words = stream.read().split("\0")
        return len(words) > 1 and words[0] in {SYSCALLS, CLOCK, PACKETS} and words[1] == ledger
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

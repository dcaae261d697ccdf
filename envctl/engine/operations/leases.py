"""Things that go on, or end, by themselves: children that outlive the command, each with a time limit and a token."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DESCRIPTORS = 64
"""More than an operation has open."""

_DYING, _LOOK = 10.0, 0.001
"""Seconds for a killed process to end, and between two looks."""


def wear(token: str) -> None:
    """Be found by that token from now on, with all children, until they become another program."""
    with open("/proc/self/comm", "w") as stream:  # noqa: PTH123
        stream.write(_name(token))


def fork(token: str, act: Callable[[], object]) -> None:
    """Have a child of its own session do something; returns at once. It wears the token, by which `end` finds it."""
    if os.fork():
        return
    try:
        os.setsid()
        wear(token)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        # Who waits for an answer would wait for this one, too.
        os.closerange(3, _DESCRIPTORS)
        act()
    finally:
        os._exit(0)


def after(token: str, seconds: float, act: Callable[[], object]) -> None:
    """Have a child do something when that time is over, unless it is ended before."""

    def wait() -> None:
        time.sleep(seconds)
        act()

    fork(token, wait)


def end(token: str) -> int:
    """Kill every other process that wears the token, also one that is still at work; how many there were.

    Raises:
        TimeoutError: one did not end, so that it may still do what it is there for.

    """
    found = list(_others(token))
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    over = time.monotonic() + _DYING
    while left := set(found) & set(_others(token)):
        if time.monotonic() > over:
            raise TimeoutError(f"processes {left} did not end within {_DYING:g} s of their SIGKILL")
        time.sleep(_LOOK)
    return len(found)


def _others(token: str) -> Iterator[int]:
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with suppress(OSError), open(f"/proc/{name}/stat") as stream:  # noqa: PTH123
            said = stream.read()
            if said.startswith(f"{name} ({_name(token)}) ") and f"({_name(token)}) Z" not in said:
                yield int(name)


def _name(token: str) -> str:
    """The kernel keeps 15 bytes of a process's name."""
    return f"e-{token}"[:15]

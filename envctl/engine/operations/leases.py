"""Things that go on, or end, by themselves: children that outlive the command, each with a time limit and a token."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def fork(token: str, act: Callable[[], object]) -> None:
    """Have a child of its own session do something; returns at once. It keeps this command's arguments, the token
    among them, by which `end` finds it.
    """
    with open("/proc/self/cmdline", "rb") as stream:  # noqa: PTH123
        if _mark(token) not in stream.read():
            raise ValueError("the token is not among the command's arguments")
    if os.fork():
        return
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
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
    """Kill every other process with that token among its arguments; how many there were."""
    found = list(_others(token))
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def _others(token: str) -> Iterator[int]:
    own, wanted = {os.getpid(), os.getppid()}, _mark(token)
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdigit() or int(name) in own:
            continue
        with suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as stream:  # noqa: PTH123
            if wanted in stream.read():
                yield int(name)


def _mark(token: str) -> bytes:
    """The token as it stands in the arguments."""
    return f'"token": "{token}"'.encode()

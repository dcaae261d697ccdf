"""The network namespace of another process: entered, left, and what is in it."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NETWORK = 0x40000000
"""CLONE_NEWNET of linux/sched.h."""


@contextmanager
def of(pid: int) -> Iterator[None]:
    """Have this thread in a process's network namespace; sockets that are made there stay in it."""
    back, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        os.setns(there, _NETWORK)  # type: ignore[attr-defined] # Python 3.12
        yield
    finally:
        os.setns(back, _NETWORK)  # type: ignore[attr-defined]
        os.close(there)
        os.close(back)


def run(*command: str, text: str = "") -> str:
    """What a command says. Raises OSError with its first line where it fails."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).partition("\n")[0]
        raise OSError(f"{' '.join(command)}: {said or done.returncode}")
    return done.stdout


def interfaces() -> list[str]:
    """Those of this namespace, but loopback and what envctl itself puts there."""
    with open("/proc/net/dev") as stream:  # noqa: PTH123
        names = [line.split(":")[0].strip() for line in stream if ":" in line]
    return [name for name in names if name != "lo" and not name.startswith(("envctl", "ifb"))]


def speaks_ipv6() -> bool:
    """Whether this namespace has an address that others reach it by."""
    try:
        with open("/proc/net/if_inet6") as stream:  # noqa: PTH123
            return any(line.split()[3] == "00" and line.split()[5] != "lo" for line in stream)
    except FileNotFoundError:
        return False

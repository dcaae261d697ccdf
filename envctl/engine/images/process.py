"""A program of the host's with its output line by line, which ends with us however we end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from envctl.engine.images.crew import Stop

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL: a builder uses them to tell the engine that the build is off."""


def run(
    command: Sequence[str],
    heard: Callable[[str], None],
    stop: Stop,
    environ: Mapping[str, str] | None = None,
    grace: float = GRACE,
) -> int:
    """Run `command` in a process group of its own, give each line of both its streams to `heard`; its exit code.

    When `stop` is said, the group is ended: SIGTERM, and after `grace` seconds SIGKILL (0: SIGKILL at once).

    Raises:
        Interrupted: the stop was said.
        OSError: the program cannot be started.

    """
    stop.heed()
    process = subprocess.Popen(
        [*_tied("TERM" if grace else "KILL"), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environ,
        start_new_session=True,
    )
    with process, stop.ending(lambda: _end(process, grace)):
        try:
            for line in process.stdout or ():
                heard(line.rstrip())
            code = process.wait()
        except BaseException:
            _end(process, 0)
            raise
    stop.heed()
    return code


def _end(process: subprocess.Popen[str], grace: float) -> None:
    """End the whole group: what the program started in turn is in it, also when the program itself is gone."""
    if grace and process.poll() is None:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _tied(number: str) -> tuple[str, ...]:
    """A prefix that has the kernel end the program when we are killed without a chance to do so (Linux only)."""
    return ("setpriv", "--pdeathsig", number, "--") if shutil.which("setpriv") else ()

"""Starting an engine that is installed and does not run."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.engine.connect import locate
from envctl.engine.doctor.site import ask
from envctl.engine.doctor.work import tail
from envctl.errors import EngineError
from envctl.protocols import NotReady
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from envctl.engine.doctor.site import EngineFacts
    from envctl.engine.doctor.work import Work

SYSTEMD = Path("/run/systemd/system")
"""Exists exactly where systemd is the init system (sd_booted(3))."""

PID_FILE = Path("/var/run/docker.pid")
LOG = Path("/var/log/dockerd.log")

START_TIMEOUT = 60
"""Seconds until the API must answer; 2 to 4 s were measured (reference: images.md §12.1)."""

DOCKERD = 'ulimit -n "$(ulimit -Hn)"; exec dockerd'
"""Containers inherit the daemon's limit of open files; a shell's usual 1024 is too low for a broker."""


def start(dockerd: str, work: Work) -> EngineFacts:
    """Start the engine and wait until its API answers: by systemd where that runs, else as a program of its own.

    Raises:
        EngineError: it ended again, or did not answer in time; with the last lines of its log.

    """
    if SYSTEMD.is_dir():
        advice = "read `journalctl -u docker`"
        work.step("start the engine", ["systemctl", "start", "docker"], advice=advice)
        return _wait(lambda: None, advice)
    if _already_starting():
        work.report("an engine is already starting: waiting for it")
        return _wait(lambda: None, f"read {LOG}")
    return _launch(dockerd, work)


def _launch(dockerd: str, work: Work) -> EngineFacts:
    """Start dockerd in a session of its own, so that it outlives this program and its terminal."""
    command = ["sh", "-c", DOCKERD.replace("exec dockerd", f"exec {dockerd}")]
    shown = f"setsid {dockerd} >>{LOG} 2>&1 </dev/null &"
    work.report(f"start the engine: {shown}")
    started = time.monotonic()
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )

    def check() -> None:
        if process.poll() is not None:
            found = f"it ended with exit code {process.returncode}: {tail(LOG.read_text(errors='replace'))}"
            raise EngineError("a running engine", found, f"correct the reason named above; all of it is in {LOG}")

    facts = _wait(check, f"read {LOG}")
    work.did("start the engine", shown, started)
    return facts


def _wait(check: Callable[[], None], advice: str) -> EngineFacts:
    """Wait until the API answers; `check` raises as soon as that cannot happen any more."""

    def probe() -> EngineFacts:
        check()
        try:
            return ask(locate())
        except EngineError as error:
            raise NotReady(error.found) from error

    try:
        return until(probe, START_TIMEOUT, "the engine's API")
    except TimedOut as error:
        raise EngineError("an engine that answers", f"{error.last} after {START_TIMEOUT} s", advice) from error


def _already_starting() -> bool:
    """Whether a daemon runs that has written its pid: packages start theirs when they are installed."""
    try:
        os.kill(int(PID_FILE.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True

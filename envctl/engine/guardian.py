"""The guardian: a detached process that takes an environment down when its owner is dead or its time is over.

It watches from outside, so SIGKILL of the owner changes nothing; it holds no secret and no connection; it carries its
environment's name in its arguments, by which `down` finds and ends it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from envctl.engine import owner as owners
from envctl.model import Resource
from envctl.state import StateFolder
from envctl.waiting import pause

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psutil

MODULE = "envctl.engine.guardian"
_LOOK = 0.2
"""Seconds between two looks at the owner: how long an orphan may live unseen."""

_TTL_LOOK = 5.0


def start(environment: str, *, owner: str = "", ttl: float | None = None) -> None:
    """Start a guardian in a session of its own; it ends with the environment."""
    command = [sys.executable, "-m", MODULE, "--environment", environment]
    command += ["--owner", owner] if owner else []
    command += ["--ttl", f"{ttl:g}"] if ttl is not None else []
    subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # GitHub's runner kills every process that carries its variable when the job ends, before we could clean up.
        env={**os.environ, "RUNNER_TRACKING_ID": ""},
        cwd="/",
    )


def running(environment: str) -> list[psutil.Process]:
    """The guardians of an environment, except this process and those above it."""
    import psutil

    above = {process.pid for process in (psutil.Process(), *psutil.Process().parents())}
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        named = MODULE in words and words[words.index("--environment") + 1] == environment
        if named and process.pid not in above and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def end(environment: str) -> tuple[Resource, ...]:
    """End all guardians of an environment; returns those that were there."""
    import psutil

    ended = running(environment)
    for process in ended:
        process.kill()
    psutil.wait_procs(ended, timeout=2)
    return tuple(Resource("process", f"guardian (pid {p.pid})", str(p.pid), environment) for p in ended)


def main(arguments: Sequence[str] | None = None) -> None:
    """Watch, then become `envctl down`."""
    parser = argparse.ArgumentParser(prog=MODULE)
    parser.add_argument("--environment", required=True)
    parser.add_argument("--owner", default="")
    parser.add_argument("--ttl", type=float)
    options = parser.parse_args(arguments)
    if options.owner:
        while not owners.provably_dead(options.owner):
            pause(_LOOK)
    elif not _expired(options.environment, options.ttl):
        return
    # Replacing this process leaves no guardian behind that `down` would have to spare.
    os.execv(sys.executable, [sys.executable, "-m", "envctl", "--env", options.environment, "-q", "down"])  # noqa: S606


def _expired(environment: str, ttl: float) -> bool:
    """Wait until nobody used the environment for `ttl` seconds; False when it went before."""
    import time

    folder = StateFolder(environment)
    while (used := folder.last_used()) is not None:
        left = used + ttl - time.time()
        if left <= 0:
            return True
        pause(min(left, _TTL_LOOK))
    return False


if __name__ == "__main__":
    main()

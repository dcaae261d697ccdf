"""The guardian: a detached process that takes an environment down when its owner is dead or its time is over.

It watches from outside, so SIGKILL of the owner changes nothing; it holds no secret and no connection; it carries its
environment's name in its arguments, by which `down` finds and ends it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

from envctl.engine import owner as owners
from envctl.errors import StateFolderError
from envctl.model import Resource
from envctl.protocols import NotReady
from envctl.state import StateFolder
from envctl.waiting import TimedOut, pause, until

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import psutil

MODULE = "envctl.engine.guardian"
WARDEN = "envctl.chaos.warden"
"""The other detached process, which heals faults: it goes with its environment too."""

_LOOK = 0.2
"""Seconds between two looks at the owner: how long an orphan may live unseen."""

_TTL_LOOK = 5.0
"""Seconds between two looks where there is only a time to live."""


def start(environment: str, owner: str = "") -> None:
    """Start a guardian in a session of its own; it ends with the environment.

    It watches `owner` where that is a process, and the time to live that the environment's state names.
    """
    # Nobody reads a detached process's words: what it says when it fails stays in the state folder.
    folder = StateFolder(environment)
    with folder.log("guardian.log") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE, "--environment", environment, "--owner", owner],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # GitHub's runner kills every process that carries its variable when a job ends, before it could clean up.
            # It runs in another folder: a relative path would mean another place there.
            env={**os.environ, "RUNNER_TRACKING_ID": "", "XDG_STATE_HOME": str(folder.root.parent.absolute())},
            cwd="/",
        )
    # It is meant to outlive this process: without a word to the contrary Python warns of that (ResourceWarning).
    process.returncode = 0


def running(environment: str, modules: Collection[str] = (MODULE, WARDEN)) -> list[psutil.Process]:
    """The guardians and the warden of an environment, except this process and those above it."""
    import psutil

    above = {process.pid for process in (psutil.Process(), *psutil.Process().parents())}
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if _guards(process.info["cmdline"] or [], environment, modules)
        and process.pid not in above
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def _guards(words: Sequence[str], environment: str, modules: Collection[str]) -> bool:
    return bool({*modules} & {*words}) and ("--environment", environment) in pairwise(words)


def end(environment: str, modules: Collection[str] = (MODULE, WARDEN)) -> tuple[Resource, ...]:
    """End all guardians of an environment, and its warden; returns those that were there."""
    import psutil

    ended = running(environment, modules)
    for process in ended:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    # One that its parent has not looked after yet (a zombie) is as good as gone; our own children are ours to bury.
    with suppress(TimedOut):
        until(lambda: _none_alive(ended), 10, "guardians ended")
    psutil.wait_procs(ended, timeout=0)
    kind = "warden" if tuple(modules) == (WARDEN,) else "guardian"
    return tuple(Resource("process", f"{kind} (pid {p.pid})", str(p.pid), environment) for p in ended)


def _none_alive(processes: Sequence[psutil.Process]) -> None:
    import psutil

    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                raise NotReady(f"pid {process.pid} lives")


def main(arguments: Sequence[str] | None = None) -> None:
    """Watch, then become `envctl down`."""
    parser = argparse.ArgumentParser(prog=MODULE)
    parser.add_argument("--environment", required=True)
    parser.add_argument("--owner", default="")
    options = parser.parse_args(arguments)
    folder = StateFolder(options.environment)
    while not owners.provably_dead(options.owner):
        if not folder.path.is_dir() and not owners.process_id(options.owner):
            return
        left = _time_left(folder)
        if left is not None and left <= 0:
            break
        pause(_LOOK if owners.process_id(options.owner) else min(_TTL_LOOK, left or _TTL_LOOK))
    # Replacing this process leaves no guardian behind that `down` would have to spare.
    os.execv(sys.executable, [sys.executable, "-m", "envctl", "--env", options.environment, "-q", "down"])  # noqa: S606


def _time_left(folder: StateFolder) -> float | None:
    """Seconds that an unused environment may still live; None when it has no time to live."""
    try:
        ttl, used = folder.load().ttl, folder.last_used()
    except StateFolderError:
        # Without a readable state there is no time to live; the owner is watched all the same.
        return None
    return None if ttl is None or used is None else used + ttl - time.time()


if __name__ == "__main__":
    main()

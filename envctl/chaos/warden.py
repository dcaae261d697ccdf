"""The warden: a detached process that heals what is overdue, and what was tied to a process that died.

It survives the injector's SIGKILL, holds no secret but what the state folder holds, and ends when nothing has been in
force for a while, or with its environment. Without it (it was killed too), the next verb heals.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from envctl.engine import owner as owners
from envctl.engine.guardian import WARDEN
from envctl.errors import Busy, EnvctlError, StateFolderError
from envctl.events import emit
from envctl.locks import file_lock
from envctl.waiting import Deadline, pause

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from envctl.chaos.ward import Ward
    from envctl.journal import Entry

_LOOK = 0.1
"""Seconds between two looks at what is in force: how late a fault may be healed."""

_IDLE = 60.0
"""Seconds without a fault after which it ends."""

_RETRY = (1.0, 10.0)
"""Seconds until what could not be healed is tried again, the first and the longest."""


def ensure(ward: Ward) -> None:
    """See that a warden watches; one that is there is enough. Does not wait until it has started."""
    try:
        with file_lock(_lock_of(ward), 0, "the warden's place"):
            pass
    except Busy:
        return
    with ward.folder.log("warden.log") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", WARDEN, "--environment", ward.name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # As the guardian's: GitHub's runner kills what carries its variable, and a relative path means another
            # place in another folder.
            env={**os.environ, "RUNNER_TRACKING_ID": "", "XDG_STATE_HOME": str(ward.folder.root.parent.absolute())},
            cwd="/",
        )
    # It is meant to outlive this process: without a word to the contrary Python warns of that (ResourceWarning).
    process.returncode = 0


def overdue(entry: Entry) -> bool:
    """Whether a fault's time is over, or the process that it was tied to is dead."""
    return entry.expires.left <= 0 or owners.provably_dead(entry.holder)


def heal_overdue(ward: Ward) -> None:
    """Heal what is overdue, as far as it can be now; what cannot be is told by its event. Without faults: one look."""
    try:
        if not ward.journal.entries():
            return
        # The healing of a fault imports its service's clients: only who has one pays.
        from envctl.chaos.healing import heal_all

        heal_all(ward, overdue)
        if ward.journal.entries():
            ensure(ward)
    except EnvctlError as error:
        # Whoever looks at an environment must see it, whatever is wrong with its faults.
        emit("fault.heal_failed", environment=ward.name, reason=str(error))


def main(arguments: Sequence[str] | None = None) -> None:
    """Watch one environment's faults."""
    parser = argparse.ArgumentParser(prog=WARDEN)
    parser.add_argument("--environment", required=True)
    name = parser.parse_args(arguments).environment
    from envctl.chaos.ward import Ward

    ward = Ward(name)
    try:
        with file_lock(_lock_of(ward), 0, "the warden's place"):
            _watch(ward)
    except Busy:
        return  # another one watches


def _watch(ward: Ward) -> None:
    from envctl.chaos.healing import heal

    idle = Deadline(_IDLE)
    waits: dict[str, tuple[Deadline, float]] = {}
    while ward.journal.path.is_dir() and ward.folder.path.is_dir():
        entries = ward.journal.entries()
        if entries:
            idle = Deadline(_IDLE)
        elif idle.passed and _nothing_coming(ward):
            return
        for entry in reversed(entries):
            wait, patience = waits.get(entry.id, (Deadline(0), _RETRY[0]))
            if not overdue(entry) or not wait.passed:
                continue
            try:
                heal(ward, entry.id, within=_RETRY[1])
            except EnvctlError:
                # Told by its event and kept in the entry.
                waits[entry.id] = Deadline(patience), min(2 * patience, _RETRY[1])
        pause(_LOOK)


def _nothing_coming(ward: Ward) -> bool:
    """Whether nobody is about to inject: whoever does looks for a warden only after it has written its entry."""
    try:
        with ward.journal.planning(0):
            return not ward.journal.entries()
    except (Busy, StateFolderError):
        return False


def _lock_of(ward: Ward) -> Path:
    return ward.journal.path / "warden.lock"


if __name__ == "__main__":
    main()

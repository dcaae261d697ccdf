"""The warden: a detached process that heals what is overdue, and what was tied to a process that died.

It survives the injector's SIGKILL, holds no secret but what the state folder holds, and ends when nothing has been in
force for a while, or with its environment. Without it (it was killed too), the next verb heals.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from envctl.engine import owner as owners
from envctl.engine.guardian import WARDEN
from envctl.errors import Busy, EnvctlError, StateFolderError
from envctl.events import emit
from envctl.journal import Entry, Stage
from envctl.locks import file_lock
from envctl.waiting import Deadline, pause

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from envctl.chaos.ward import Ward

_LOOK = 0.1
"""Seconds between two looks at what is in force: how late a fault may be healed."""

_GLANCE = 1.0
"""Seconds between two looks at whether it is in force still."""

_IDLE = 60.0
"""Seconds without a fault after which it ends."""

_RETRY = (1.0, 10.0)
"""Seconds until what could not be healed is tried again, the first and the longest."""

_ON_CONTACT = 2.0
"""Seconds that a verb spends on healing what is overdue."""


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


def heal_overdue(ward: Ward, *, unheld: bool = False) -> None:
    """Heal what is overdue, as far as it can be now; what cannot be is told by its event. Without faults: one look.

    `unheld`: and what was not tied to a process, and so nobody is using for certain.
    """
    try:
        if not ward.journal.entries():
            return
        # The healing of a fault imports its service's clients: only who has one pays.
        from envctl.chaos.healing import Patience, heal_all

        # What takes longer, or is in another process's hands, is the warden's: a look at an environment is short.
        heal_all(ward, lambda entry: overdue(entry) or (unheld and not entry.holder), Patience(_ON_CONTACT, 0))
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
    idle, rounds, known = Deadline(_IDLE), dict[str, _Round](), dict[str, Entry]()
    glance, lapsed = Deadline(_GLANCE), set[str]()
    while ward.journal.path.is_dir() and ward.folder.path.is_dir():
        entries = ward.journal.entries()
        known = {name: entry for name, entry in known.items() if ward.journal.ended(name) is None}
        known |= {entry.id: entry for entry in entries}
        if entries:
            idle = Deadline(_IDLE)
        elif idle.passed and _nothing_coming(ward):
            return
        if glance.passed:
            glance = Deadline(_GLANCE)
            lapsed |= _lapsed(ward, entries)
        for service in {entry.service for entry in entries if overdue(entry) or entry.id in lapsed}:
            rounds.setdefault(service, _Round(ward, service, lapsed)).begin()
        pause(_LOOK)
    _heal_unrecorded(ward, sorted(known.values(), key=lambda entry: -entry.order))


def _lapsed(ward: Ward, entries: Sequence[Entry]) -> set[str]:
    """Those that bit and are not in force any more, because what they live in was started anew or replaced: they are
    told as lost now, and not only when their time is over. Not while their service is kept from answering by another
    (it was stopped, say): to heal them would be to end that, too.
    """
    from envctl.chaos.healing import silencing, still_in_force

    seen = [entry for entry in entries if entry.stage is Stage.VERIFIED and not silencing(entry, entries)]
    return {entry.id for entry in seen if not still_in_force(ward, entry)}


def _heal_unrecorded(ward: Ward, entries: Sequence[Entry]) -> None:
    """Heal what was in force when its journal was deleted: nobody else knows of it any more. `down` removes the folder
    last; what was in force then went with the containers, and nothing is done.
    """
    from envctl.chaos.healing import heal_unrecorded

    for done, entry in enumerate(entries, 1):
        try:
            heal_unrecorded(ward, entry, entries[done:])
        except EnvctlError as error:
            emit("fault.heal_failed", environment=ward.name, id=entry.id, reason=str(error))


class _Round:
    """The healing of one service's faults, in a thread: one that does not answer keeps no other waiting."""

    def __init__(self, ward: Ward, service: str, lapsed: set[str]) -> None:
        self._ward, self._service, self._lapsed = ward, service, lapsed
        self._thread: threading.Thread | None = None
        self._wait, self._patience = Deadline(0), _RETRY[0]

    def begin(self) -> None:
        """Heal what is overdue now, unless that is under way or failed a moment ago."""
        if self._wait.passed and not (self._thread and self._thread.is_alive()):
            self._thread = threading.Thread(target=self._heal, daemon=True, name=f"heal-{self._service}")
            self._thread.start()

    def _heal(self) -> None:
        from envctl.chaos.healing import heal_all

        def wanted(entry: Entry) -> bool:
            return entry.service == self._service and (overdue(entry) or entry.id in self._lapsed)

        _, failed = heal_all(self._ward, wanted)
        # Each is told by its event and kept in its entry.
        self._patience = min(2 * self._patience, _RETRY[1]) if failed else _RETRY[0]
        self._wait = Deadline(self._patience if failed else 0)


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

"""Locks between processes: files that the kernel frees when their holder dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from envctl.errors import Busy, StateFolderError
from envctl.protocols import NotReady
from envctl.waiting import Deadline, TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

A_MOMENT = 1.0
"""Seconds of waiting for another process that nobody needs to hear of."""


@contextmanager
def file_lock(path: Path, timeout: float, what: str, tell: Callable[[str], None] | None = None) -> Iterator[int]:
    """Hold an exclusive lock on `path`, which may be deleted by the holder; its descriptor.

    `tell` hears once who holds it, when that takes longer than `A_MOMENT`.

    Raises:
        Busy: another process held it for all of `timeout` seconds.
        StateFolderError: the file cannot be made.

    """
    moment, tellers = Deadline(A_MOMENT), [tell] if tell else []

    def attempt() -> int:
        try:
            return _attempt(path)
        except NotReady as holder:
            if tellers and moment.passed:
                tellers.pop()(str(holder))
            raise

    try:
        descriptor = until(attempt, timeout, what)
    except TimedOut as error:
        raise Busy(
            f"{what} for this process alone",
            f"{error.last} has held it for {timeout:g} s",
            "wait until it is done, or end it",
        ) from error
    except OSError as error:
        raise unusable(path.parent, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _attempt(path: Path) -> int:
    try:
        return _acquire(path)
    except FileNotFoundError as error:
        # The former holder deletes the whole folder when the environment goes: make it anew.
        raise NotReady("a process that just finished") from error


def _acquire(path: Path) -> int:
    """The locked descriptor of the file that stands at `path` now."""
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise NotReady(f"process {holder}" if holder else "another process") from error
    # The former holder may have deleted the file between our open and our lock: then we hold nothing.
    if not stands(path, descriptor):
        os.close(descriptor)
        raise NotReady("a process that just finished")
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def make_folder(folder: Path) -> None:
    """Make a folder that only this user may read; one that is there is fine."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        # Raised also for a folder that was there and went in this moment; only a file in its place is an error.
        if folder.is_file():
            raise


def stands(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one that stands at `path` now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def unusable(path: Path, error: OSError) -> StateFolderError:
    """The error for state that cannot be read or written."""
    return StateFolderError(
        f"a folder for secrets, ports and journals at {path}",
        error.strerror or str(error),
        "make it writable, or set XDG_STATE_HOME to a folder that is",
    )

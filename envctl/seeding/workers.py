"""Threads that work for one seed: whichever fails first stops the others, and no failure is lost."""

from __future__ import annotations

import contextvars
import threading
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from envctl.errors import EnvctlError, Interrupted, SeedConflict, SeedFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

LOOK = 0.25
"""Seconds between two looks whether the work is still wanted."""

PATIENCE = 30.0
"""Seconds that a thread gets to end at its next chunk; one that hangs in a client library longer is left."""


class Workers(Generic[T]):
    """One thread for each of some pieces of work. `stop` is set when one has failed, or when the work is broken off."""

    def __init__(self, what: str, stop: threading.Event) -> None:
        self.failed: Callable[[BaseException], None] | None = None
        """Told of the first failure, in the thread that failed."""
        self._what, self._stop = what, stop
        self._changed = threading.Condition()
        self._under_way: set[str] = set()
        self._results: dict[str, T] = {}
        self._errors: dict[str, BaseException] = {}

    def start(self, name: str, work: Callable[[], T]) -> None:
        """Begin a piece of work now, heard by who listens here."""
        with self._changed:
            self._under_way.add(name)
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._work, name, work), name=f"seed-{name}", daemon=True).start()

    def wait(self, abandoned: Callable[[], bool] = lambda: False) -> dict[str, T]:
        """Wait for all; their results by name.

        Raises:
            EnvctlError: what failed; where several did, one error that names all.
            Interrupted: another process wants the environment down.

        """
        with self._changed:
            while self._under_way and not self._errors:
                self._changed.wait(LOOK)
                if abandoned():
                    self._stop.set()
                    raise Interrupted(f"{self._what} loaded", "another process takes the environment down meanwhile")
        self.end()
        if self._errors:
            raise together(self._what, self._errors)
        return dict(self._results)

    def end(self) -> None:
        """Let every thread end: at once after a success, at its next chunk after a failure."""
        with self._changed:
            if self._under_way:
                self._stop.set()
            self._changed.wait_for(lambda: not self._under_way, PATIENCE)

    def _work(self, name: str, work: Callable[[], T]) -> None:
        done: Callable[[], None]
        try:
            done = partial(self._results.__setitem__, name, work())
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread, which raises it
            done = partial(self._fail, name, error)
        with self._changed:
            done()
            self._under_way.discard(name)
            self._changed.notify_all()

    def _fail(self, name: str, error: BaseException) -> None:
        if self._stop.is_set() and isinstance(error, Interrupted):
            return  # it ended because it was asked to
        first = not self._errors
        self._errors[name] = error
        self._stop.set()
        if first and self.failed is not None:
            self.failed(error)


def together(what: str, errors: Mapping[str, BaseException]) -> BaseException:
    """One error for all: the only one itself; conflicts as one conflict; a bug before whatever it may have caused."""
    found = list(errors.values())
    if len(found) == 1:
        return found[0]
    if bug := next((error for error in found if not isinstance(error, EnvctlError)), None):
        return bug
    known = [error for error in found if isinstance(error, EnvctlError)]
    kind = SeedConflict if all(isinstance(error, SeedConflict) for error in known) else SeedFailed
    listed = "".join(f"\n         - {e.wanted}: {e.found}" for e in known)
    advice = "; ".join(dict.fromkeys(error.advice for error in known if error.advice))
    error = kind(f"{what} loaded into {', '.join(errors)}", f"{len(known)} failed{listed}", advice)
    error.__cause__ = known[0]
    return error

"""Trying again, as an application should: what failed for a reason that may pass, for a time, and counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from envctl.errors import EnvctlError
from envctl.protocols import NotReady
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that a client tries before it gives up."""


@dataclass
class Retries:
    """Tries again on `errors`; `count` how often one came, `seen` which."""

    errors: tuple[type[Exception], ...]
    count: int = 0
    seen: set[str] = field(default_factory=set)

    def of(self, action: Callable[[], T], what: str) -> T:
        """Until it works.

        Raises:
            EnvctlError: it did not for a minute.

        """

        def attempt() -> T:
            try:
                return action()
            except self.errors as error:
                self.count += 1
                self.seen.add(type(error).__name__)
                raise NotReady(f"{type(error).__name__}: {error}") from error

        try:
            return until(attempt, PATIENCE, what)
        except TimedOut as error:
            raise EnvctlError(what, error.last, "the fault lasted longer than its client's patience") from error

    def require_some(self) -> None:
        """See that something failed.

        Raises:
            EnvctlError: nothing did, so that nothing was tested.

        """
        require(self.count > 0, "nothing failed: nobody would have needed to try again")

    def __str__(self) -> str:
        names = f" ({', '.join(sorted(self.seen))})" if self.seen else ""
        return f"{self.count} {'try' if self.count == 1 else 'tries'} failed{names}"


def require(holds: bool, otherwise: str) -> None:
    """Go on where it holds.

    Raises:
        EnvctlError: it does not; `otherwise` says what is so instead.

    """
    if not holds:
        raise EnvctlError("all work done once, and kept", otherwise, "the history tells what was hurt then")

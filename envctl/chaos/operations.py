"""Operations of clients in the history of faults, on the same clock: what was going on when it hurt.

As Jepsen records them: an operation begins (`invoke`) and ends with what its client knows. `ok`: it happened; `fail`:
it did not; `info`: nobody can tell, as after a connection that broke before the answer.
"""

from __future__ import annotations

import itertools
import os
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from envctl.journal import Journal

_numbers = itertools.count(1)


class Operation:
    """One operation: a block that ends well is `ok`, one that raises is `info`, unless it said `fail` before."""

    def __init__(self, journal: Journal, name: str, data: dict[str, object]) -> None:
        self._journal, self._outcome = journal, ""
        who = f"{os.getpid()}-{threading.get_native_id()}-{next(_numbers)}"
        self._facts: dict[str, object] = {"operation": name, "number": who, **data}

    def __enter__(self) -> Self:
        self._journal.note("operation.invoke", self._facts)
        return self

    def fail(self, **data: object) -> None:
        """Say that it did not happen, and that this is known: the server refused it."""
        self._outcome = "fail"
        self._facts |= data

    def note(self, **data: object) -> None:
        """Add to what is told at its end: what was read, for example."""
        self._facts |= data

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell how it ended; an error goes on."""
        outcome = self._outcome or ("ok" if error is None else "info")
        told = {} if error is None else {"error": f"{type(error).__name__}: {error}".rstrip(": ")}
        self._journal.note(f"operation.{outcome}", {**self._facts, **told})

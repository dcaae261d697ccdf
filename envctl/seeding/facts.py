"""What is known of generated objects without asking the store: size, ETag and rows, by the row that each stands for.

An object's facts come from its bytes. Whoever makes the bytes first (the upload, mostly) tells them here, so that the
tables that name them do not make them again.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from envctl.seeding import arrow
from envctl.seeding.column import Column, Kind
from envctl.seeding.expressions import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fact:
    """Of one object: its bytes, its ETag without quotes (MD5 of a single PUT), its intact rows."""

    size: int
    etag: str
    rows: int


_MADE: ContextVar[frozenset[str]] = ContextVar("relations whose objects are being made", default=frozenset())


@contextmanager
def being_made(relation: str) -> Iterator[None]:
    """Here what the bytes of the relation's objects depend on is evaluated: whoever asks for their facts is refused."""
    token = _MADE.set(_MADE.get() | {relation})
    try:
        yield
    finally:
        _MADE.reset(token)


class Facts:
    """The facts of all generated objects of one dataset. Thread-safe.

    `compute(relation, row)` makes an object's bytes and throws them away; each is computed at most once, and not while
    somebody said that he is about to tell it (`expect`).
    """

    def __init__(self, compute: Callable[[str, int], Fact]) -> None:
        self._compute = compute
        self._known: dict[tuple[str, int], Fact] = {}
        self._expected: set[str] = set()
        self._changed = threading.Condition()

    def expect(self, relation: str) -> None:
        """Somebody makes the objects of this relation now and will `learn` each; whoever asks waits for that."""
        with self._changed:
            self._expected.add(relation)

    def give_up(self, relation: str) -> None:
        """Nobody makes them any more: what is not known is computed by whoever asks."""
        with self._changed:
            self._expected.discard(relation)
            self._changed.notify_all()

    def learn(self, relation: str, row: int, fact: Fact) -> None:
        """Tell what an object turned out to be."""
        with self._changed:
            self._known[relation, row] = fact
            self._changed.notify_all()

    def of(self, relation: str, row: int) -> Fact:
        """One object's facts, waited for or computed."""
        with self._changed:
            self._changed.wait_for(lambda: (relation, row) in self._known or relation not in self._expected)
            known = self._known.get((relation, row))
        return known or self.computed(relation, row)

    def computed(self, relation: str, row: int) -> Fact:
        """As `of`, for whoever is expected to tell: he must not wait for himself."""
        known = self._known.get((relation, row))
        if known is None:
            known = self._compute(relation, row)
            self.learn(relation, row, known)
        return known

    def columns(self, relation: str, rows: Integers) -> dict[str, Column]:
        """`size`, `etag` and `rows` of the objects of these rows (what `fact()` gives).

        Raises:
            ExpressionError: the objects' bytes depend on them.

        """
        if relation in _MADE.get():
            raise ExpressionError(f"fact(): the bytes of the objects of {relation!r} depend on what is asked of them")
        found = [self.of(relation, int(row)) for row in rows]
        return {
            "size": Column(Kind.INT, np.array([fact.size for fact in found], np.int64)),
            "etag": Column(Kind.TEXT, arrow.strings(fact.etag for fact in found)),
            "rows": Column(Kind.INT, np.array([fact.rows for fact in found], np.int64)),
        }

"""A dataset's world seen through a few of its rows, at no cost whatever its size: for trying and for reckoning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from envctl.seeding import arrow
from envctl.seeding.column import Column, Kind
from envctl.seeding.expressions import ExpressionError
from envctl.seeding.operators import KindError
from envctl.seeding.world import Chunk, World, WorldError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from numpy.typing import NDArray

    from envctl.seeding.spec.model import Dataset, Relation

    Integers = NDArray[np.int64]

_MOST_SLOTS = 40_000
"""Rows that are made at most, where many could come of one of the topmost parent."""


@dataclass(frozen=True, slots=True)
class _Repeated(Column):
    """A column that goes on for `length` rows with the few values that there are."""

    length: int = 0

    def __len__(self) -> int:
        return self.length

    def take(self, rows: Integers) -> Column:
        """Whatever row is asked for, one of the few."""
        return Column.take(self, rows % max(1, len(self.values)))


class Glimpse(World):
    """A world with as many rows as it has, of which only a few are ever made: those of the first `few` rows of a
    topmost parent, or of those in its middle, which are more like the others (the first numbers are short ones). Facts
    of objects are made up. Nothing can be said of `broken` relations.
    """

    def __init__(self, dataset: Dataset, few: int, broken: Collection[str] = (), *, middle: bool = False) -> None:
        super().__init__(dataset)
        self.facts = self._some_facts
        self.deciding = False
        """Whether what is made now decides an object's name or bytes."""
        self._few, self._broken, self._middle = few, broken, middle
        self._with_objects = {rule.relation for bucket in dataset.buckets.values() for rule in bucket.objects}
        self._making: set[tuple[str, ...]] = set()

    def relation(self, name: str) -> Relation:
        """As World.

        Raises:
            WorldError: a broken one, without a reason; ExpressionError: there is none of that name.

        """
        if name in self._broken:
            raise WorldError(name, "", "")
        return super().relation(name)

    def some(self, relation: str) -> Chunk:
        """The few rows."""
        if self.relation(relation).open:
            return self.opened(relation, 0, 0, self._few)
        count, tops = self.tops(relation)
        start = (tops - count) // 2 if self._middle else 0
        return self.range(relation, start, start + count)

    def tops(self, relation: str) -> tuple[int, int]:
        """How many rows of the topmost parent are looked at, and how many it has."""
        slots, top = 1, self.relation(relation)
        while top.per:
            slots, top = slots * max(1, top.most), self.relation(top.per)
        return min(top.rows, self._few, max(1, _MOST_SLOTS // slots)), top.rows

    def iterate(self, relation: str) -> Iterator[Chunk]:
        """The few rows stand for all."""
        yield self.some(relation)

    def children(self, spec: Relation, parent: Chunk) -> Chunk:
        """As World; what is wrong with the count is wrong there."""
        try:
            return super().children(spec, parent)
        except (ExpressionError, KindError) as error:
            raise WorldError(spec.name, "count", str(error)) from error

    def lookup(self, relation: str, column: str) -> Column:
        """A whole column, made of the few rows."""
        found = super().lookup(relation, column)
        return _Repeated(found.kind, found.values, found.valid, found.scale, self.relation(relation).rows)

    def _looked_up(self, key: tuple[str, ...], make: Callable[[], Column]) -> Column:
        """As World; what needs itself is found, not followed for ever."""
        if key in self._making:
            raise ExpressionError("is defined by itself")
        self._making.add(key)
        try:
            return super()._looked_up(key, make)
        finally:
            self._making.discard(key)

    def _some_facts(self, relation: str, rows: Integers) -> dict[str, Column]:
        if relation not in self._with_objects:
            raise ExpressionError("fact(): no objects are made `from` this relation")
        if self.deciding:
            raise ExpressionError("fact(): an object's name and content cannot depend on its own facts")
        numbers = Column(Kind.INT, np.ones(len(rows), np.int64))
        return {"size": numbers, "etag": Column(Kind.TEXT, arrow.repeated("0" * 32, len(rows))), "rows": numbers}

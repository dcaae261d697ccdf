"""Some rows of one relation, and the columns that are made for them."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from envctl.seeding import philox
from envctl.seeding.column import Column, Kind
from envctl.seeding.expressions import ExpressionError
from envctl.seeding.operators import KindError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from envctl.seeding.expressions import Evaluator
    from envctl.seeding.spec import Relation
    from envctl.seeding.world import World

    Integers = NDArray[np.int64]


class WorldError(ValueError):
    """A value cannot be made: where (relation, column) and why."""

    def __init__(self, relation: str, column: str, why: str) -> None:
        self.relation, self.column, self.why = relation, column, why
        super().__init__(f"{relation}.{column}: {why}")


class TooManyRows(ExpressionError):
    """A function keeps something for each of a relation's rows, and those are more than the `most` that it can."""

    def __init__(self, function: str, relation: str, rows: int, most: int) -> None:
        self.relation, self.rows, self.most = relation, rows, most
        super().__init__(f"{function}() goes up to {most:,} rows; {relation!r} has {rows:,}")


class Chunk:
    """Some rows of one relation; columns are made when asked for, once."""

    def __init__(
        self,
        world: World,
        relation: Relation,
        start: int,
        stop: int,
        slots: Integers | None = None,
        parent: Chunk | None = None,
        parent_index: Integers | None = None,
        lines: Integers | None = None,
    ) -> None:
        self.world, self.relation, self.start, self.stop = world, relation, start, stop
        self.parent, self.lines = parent, lines
        self.parent_index: Integers = np.zeros(0, np.int64) if parent_index is None else parent_index
        """For each row, its parent's place in the parent's chunk; empty where there is no parent."""
        self._slots = slots
        self.rows: Integers = np.arange(start, stop, dtype=np.int64) if slots is None else slots + start
        """The rows' numbers."""
        self._made: dict[str, Column | None] = {}
        self._children: dict[str, Chunk] = {}
        self._whole: tuple[Chunk, Integers] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> Column:
        """One column, or `row` or `line`.

        Raises:
            WorldError: it cannot be made.

        """
        if name not in self._made:
            self._made[name] = None  # being made: whoever asks for it now asks in a circle
            try:
                self._made[name] = self._make(name)
            except BaseException:
                del self._made[name]
                raise
        found = self._made[name]
        if found is None:
            raise WorldError(self.relation.name, name, "is defined by itself")
        return found

    def of_parent(self, name: str) -> Column:
        """The parent's column, for each row of this chunk."""
        if self.parent is None:
            raise ExpressionError(f"relation {self.relation.name!r} has no parent")
        return self.parent.column(name).take(self.parent_index)

    def only(self, where: Integers) -> Chunk:
        """Some of these rows, by their places: the same values, made for them alone where nobody asked for all yet."""
        slots = where if self._slots is None else self._slots[where]
        index = None if self.parent is None else self.parent_index[where]
        lines = None if self.lines is None else self.lines[where]
        part = Chunk(self.world, self.relation, self.start, self.stop, slots, self.parent, index, lines)
        part._whole = self, where
        return part

    def evaluate(self, evaluator: Evaluator) -> Column:
        """Run a compiled expression on these rows."""
        return evaluator(self)

    def expression(self, place: str, source: str) -> Column:
        """An expression over this relation that is no column of it: a topic's key, for example. `place` names it."""
        try:
            return self.evaluate(self.world.evaluator(self.relation.name, place, source))
        except (ExpressionError, KindError) as error:
            raise WorldError(self.relation.name, place, str(error)) from error

    def words(self, address: tuple[object, ...]) -> philox.Words:
        """Random words for these rows, from the stream of this address."""
        drawn = philox.words(self.world.stream(*address), self.start, self.stop)
        return drawn if self._slots is None else drawn[self._slots]

    def dealt(self, address: tuple[object, ...], weights: list[int]) -> Integers:
        """Cards for these rows (`philox.dealt`)."""
        drawn = philox.dealt(self.world.stream(*address), self.start, self.stop, weights)
        return drawn if self._slots is None else drawn[self._slots]

    def children(self, relation: str) -> Chunk:
        """The rows per row of this chunk, of a relation whose parent this is."""
        spec = self.world.relation(relation)
        if spec.per != self.relation.name:
            raise ExpressionError(f"{relation!r} is not `per: {self.relation.name}`")
        if relation not in self._children:
            # Were this very chunk their parent, both would hold each other, some MB each, until the garbage collector
            # comes, which counts objects and not bytes.
            parent = copy(self)
            parent._children = {}  # noqa: SLF001 - a chunk too
            self._children[relation] = self.world.children(spec, parent)
        return self._children[relation]

    def _make(self, name: str) -> Column:
        if self._whole:
            chunk, where = self._whole
            return chunk.column(name).take(where)
        if name == "row":
            return Column(Kind.INT, self.rows)
        if name == "line" and self.lines is not None:
            return Column(Kind.INT, self.lines)
        if name not in self.relation.columns:
            known = ", ".join(["row", *self.relation.columns])
            raise ExpressionError(f"relation {self.relation.name!r} has no column {name!r}; known: {known}")
        return self.expression(name, self.relation.columns[name])

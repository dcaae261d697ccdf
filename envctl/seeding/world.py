"""A dataset's relations as values: any range of rows of any relation alone, the same on every machine.

Rows of a relation `per` another one are numbered parent's row x `most` + line, so that no row depends on how many came
before it: numbers are unique, in order, and have gaps. Chunks are ranges of the topmost parent's rows.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from envctl.seeding import arrow, philox
from envctl.seeding.chunk import Chunk, TooManyRows, WorldError
from envctl.seeding.column import Column, Kind, constant, gathered
from envctl.seeding.expressions import ExpressionError, Place, compiled
from envctl.seeding.operators import number, summable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from envctl.seeding.expressions import Evaluator
    from envctl.seeding.spec import Dataset, Relation

    Integers = NDArray[np.int64]

CHUNK_SLOTS = 16_384
"""Row numbers of a chunk: large enough that Python's share of the work is small, small enough for a core's cache. Twice
as many are no faster, and all services of `medium` at once take 30 MB more; half as many cost Kafka a tenth of its
speed (measured)."""

OPEN_SHIFT = 32
"""Rows of an open relation are numbered parent's row x 2**32 + n."""

LARGEST_LOOKUP = 4_000_000
"""Rows that a relation may have whose columns are looked up by row (32 MB a column)."""


class World:
    """All relations of one dataset at one scale. Thread-safe; what is cached is bounded by `LARGEST_LOOKUP`."""

    def __init__(self, dataset: Dataset) -> None:

        self.dataset = dataset
        self.relations = dataset.relations
        self.words = {name: arrow.strings(words) for name, words in dataset.words.items()}
        self.facts: Callable[[str, Integers], Mapping[str, Column]] | None = None
        """Says size, etag and rows of the objects that rows of a relation stand for (set by who makes the objects)."""
        self._evaluators: dict[tuple[str, str, str], Evaluator] = {}
        self._lookups: dict[tuple[str, ...], Column] = {}
        self._lock = threading.RLock()

    def rows(self, relation: str) -> int:
        """How many rows the relation has; counting those `per` another takes one pass over their counts.

        Raises:
            WorldError: the relation is open.

        """
        spec = self.relation(relation)
        if spec.open:
            raise WorldError(relation, "", "is open: it has no number of rows")
        if not spec.per:
            return spec.rows
        return int(self._looked_up(("rows", relation), lambda: self._counted(relation)).numbers[0])

    def chunks(self, relation: str) -> int:
        """How many chunks there are; none is empty unless counts make it so."""
        return -(-self.relations[self._root(relation)].rows // self._root_rows(relation))

    def chunk(self, relation: str, index: int) -> Chunk:
        """One chunk, by its number from 0."""
        size, total = self._root_rows(relation), self.relations[self._root(relation)].rows
        return self.range(relation, index * size, min(total, (index + 1) * size))

    def iterate(self, relation: str) -> Iterator[Chunk]:
        """All chunks in order."""
        return (self.chunk(relation, index) for index in range(self.chunks(relation)))

    def range(self, relation: str, start: int, stop: int) -> Chunk:
        """The rows that belong to the topmost parent's rows from `start` up to `stop`."""
        spec = self.relation(relation)
        if not spec.per:
            return Chunk(self, spec, start, stop)
        return self.children(spec, self.range(spec.per, start, stop))

    def children(self, spec: Relation, parent: Chunk) -> Chunk:
        """The rows per row of a chunk of the parent's."""
        if spec.open:
            raise WorldError(spec.name, "", "is open: its rows are taken one parent's row at a time")
        counts = number(parent.evaluate(self.evaluator(spec.name, "count", spec.count)))
        if len(counts) and (counts.max() > spec.most or counts.min() < 0):
            raise WorldError(spec.name, "count", f"is {counts.max()} or {counts.min()}; must be from 0 to {spec.most}")
        index = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
        line = np.arange(len(index), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        slots = (parent.rows - parent.start)[index] * spec.most + line
        return Chunk(self, spec, parent.start * spec.most, parent.stop * spec.most, slots, parent, index, line)

    def opened(self, relation: str, parent_row: int, start: int, stop: int) -> Chunk:
        """Rows `start` up to `stop` of an open relation, of one row of its parent."""
        spec, base = self.relation(relation), parent_row << OPEN_SHIFT
        parent, place = self.containing(spec.per, parent_row)
        lines = np.arange(start, stop, dtype=np.int64)
        return Chunk(self, spec, base + start, base + stop, None, parent, np.full(len(lines), place), lines)

    def containing(self, relation: str, row: int) -> tuple[Chunk, int]:
        """The least chunk that has this row, and the row's place in it.

        Raises:
            WorldError: there is no such row.

        """
        slots, spec = 1, self.relation(relation)
        while spec.per:
            slots, spec = slots * max(1, spec.most), self.relation(spec.per)
        if 0 <= row < spec.rows * slots:
            chunk = self.range(relation, row // slots, row // slots + 1)
            place = int(np.searchsorted(chunk.rows, row))
            if place < len(chunk) and chunk.rows[place] == row:
                return chunk, place
        raise WorldError(relation, "row", f"{row} does not exist")

    def relation(self, name: str) -> Relation:
        """One relation's spec.

        Raises:
            ExpressionError: there is none of that name.

        """
        if name not in self.relations:
            raise ExpressionError(
                f"no relation is named {name!r}; known: {', '.join(sorted(self.relations)) or 'none'}"
            )
        return self.relations[name]

    def evaluator(self, relation: str, column: str, source: str) -> Evaluator:
        """The compiled expression of a place; compiled once. `column` is the place's name, for its random streams."""
        found = self._evaluators.get((relation, column, source))
        if found is None:
            found = self._evaluators[relation, column, source] = compiled(source, Place(relation, column))
        return found

    def lookup(self, relation: str, column: str) -> Column:
        """A whole column of a relation with rows of its own, kept; for looking up by row.

        Raises:
            ExpressionError: the relation is `per` another, open, or larger than `LARGEST_LOOKUP`.

        """
        spec = self.relation(relation)
        if spec.per:
            raise ExpressionError(f"{relation!r} cannot be looked up by row: it must have `rows`")
        if spec.rows > LARGEST_LOOKUP:
            raise TooManyRows("at", relation, spec.rows, LARGEST_LOOKUP)
        return self._looked_up((relation, column), lambda: gathered([c.column(column) for c in self.iterate(relation)]))

    def numbered(self, relation: str, function: str) -> int:
        """How many rows a relation has whose rows are numbered one after the other, for a function that needs that.

        Raises:
            ExpressionError: the relation is `per` another.

        """
        spec = self.relation(relation)
        if spec.per:
            raise ExpressionError(f"{function}() is for relations with `rows`; {relation!r} is `per` {spec.per!r}")
        return spec.rows

    def tally(self, relation: str, index: tuple[str, str], amount: tuple[str, str]) -> Column:
        """For each row of `relation`, the sum of `amount` (or the count) over the rows whose `index` it is; kept.

        Rows whose index is null, or no such number, count nowhere.
        """
        limit = self.numbered(relation, "tally")
        if limit > LARGEST_LOOKUP:
            raise TooManyRows("tally", relation, limit, LARGEST_LOOKUP)

        def count() -> Column:
            sums, kind, scale = np.zeros(limit, np.int64), Kind.INT, 0
            for chunk in self.iterate(index[0]):
                amounts = chunk.column(amount[1]) if amount[1] else constant(1, len(chunk))
                places = chunk.column(index[1])
                here = (number(places) >= 0) & (number(places) < limit)
                here = here if places.valid is None else here & places.valid
                np.add.at(sums, number(places)[here], summable(amounts, "tally")[here])
                kind, scale = amounts.kind, amounts.scale
            return Column(kind, sums, None, scale)

        return self._looked_up(("tally", *index, *amount, str(limit)), count)

    def stream(self, *address: object) -> philox.Words:
        """The key of a random stream of this dataset's."""
        return philox.key(self.dataset.seed, *address)

    def _looked_up(self, key: tuple[str, ...], make: Callable[[], Column]) -> Column:
        with self._lock:
            if key not in self._lookups:
                self._lookups[key] = make()
            return self._lookups[key]

    def _counted(self, relation: str) -> Column:
        return Column(Kind.INT, np.array([sum(len(chunk) for chunk in self.iterate(relation))], np.int64))

    def _root(self, relation: str) -> str:
        spec = self.relation(relation)
        return self._root(spec.per) if spec.per else relation

    def _root_rows(self, relation: str) -> int:
        slots, spec = 1, self.relation(relation)
        while spec.per:
            slots, spec = slots * max(1, spec.most), self.relation(spec.per)
        return max(1, CHUNK_SLOTS // slots)


__all__ = ["CHUNK_SLOTS", "LARGEST_LOOKUP", "OPEN_SHIFT", "Chunk", "TooManyRows", "World", "WorldError"]

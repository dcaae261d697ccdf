"""Every expression of a dataset, tried on the first rows of its relation before anything is loaded.

What it says is wrong with a column is said once, where the column is defined, and not of whatever uses it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from envctl.seeding.column import Column, Kind
from envctl.seeding.expressions import ExpressionError
from envctl.seeding.operators import KindError
from envctl.seeding.world import Chunk, World, WorldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from envctl.config.validation import Place
    from envctl.seeding.spec.draft import Draft, Trial
    from envctl.seeding.spec.model import Dataset, Relation

    Integers = NDArray[np.int64]

ROWS = 4
"""Rows of the topmost parent on which an expression is tried."""

_MOST_SLOTS = 10_000
"""Where so many rows could come of one of the topmost parent, one of them is enough."""


def judge(draft: Draft, dataset: Dataset) -> None:
    """Note every expression that is none, that uses what is not there, or that gives what its place cannot take."""
    _Trials(draft, dataset).run()


@dataclass(frozen=True, slots=True)
class _Repeated(Column):
    """A column that goes on for `length` rows with the few values that there are."""

    length: int = 0

    def __len__(self) -> int:
        return self.length

    def take(self, rows: Integers) -> Column:
        """Whatever row is asked for, one of the few."""
        return Column.take(self, rows % max(1, len(self.values)))


class _SmallWorld(World):
    """A world whose relations have as many rows as they have, of which only the first few are ever made."""

    def __init__(self, dataset: Dataset, broken: set[str], with_objects: set[str]) -> None:
        super().__init__(dataset)
        self.facts = self._some_facts
        self.deciding = False
        """Whether what is tried now decides an object's name or bytes."""
        self._broken, self._with_objects = broken, with_objects
        self._making: set[tuple[str, ...]] = set()

    def relation(self, name: str) -> Relation:
        """As World; of a relation whose place among the others is wrong nothing more can be said."""
        if name in self._broken:
            raise WorldError(name, "", "")
        return super().relation(name)

    def first(self, relation: str) -> Chunk:
        """The first rows."""
        spec = self.relation(relation)
        if spec.open:
            return self.opened(relation, 0, 0, ROWS)
        slots, top = 1, spec
        while top.per:
            slots, top = slots * max(1, top.most), self.relation(top.per)
        return self.range(relation, 0, min(top.rows, ROWS if slots <= _MOST_SLOTS else 1))

    def iterate(self, relation: str) -> Iterator[Chunk]:
        """The first rows stand for all."""
        yield self.first(relation)

    def children(self, spec: Relation, parent: Chunk) -> Chunk:
        """As World; what is wrong with the count is wrong there."""
        try:
            return super().children(spec, parent)
        except (ExpressionError, KindError) as error:
            raise WorldError(spec.name, "count", str(error)) from error

    def lookup(self, relation: str, column: str) -> Column:
        """A whole column, made of the first rows."""
        found = super().lookup(relation, column)
        return _Repeated(found.kind, found.values, found.valid, found.scale, self.relation(relation).rows)

    def _looked_up(self, key: tuple[str, ...], make: Callable[[], Column]) -> Column:
        """As World; what needs itself is found, not followed for ever."""
        if key in self._making:
            place = (key[1], "count") if key[0] == "rows" else key[1:3] if key[0] == "tally" else key[:2]
            raise WorldError(place[0], place[1], "is defined by itself")
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
        return {"size": numbers, "etag": Column(Kind.TEXT, pa.repeat("0" * 32, len(rows))), "rows": numbers}


class _Trials:
    """The relations' own expressions, then those of the services."""

    def __init__(self, draft: Draft, dataset: Dataset) -> None:
        self.draft, self.dataset = draft, dataset
        broken = {name for name in dataset.relations if self._is_broken(name)}
        with_objects = {rule.relation for bucket in dataset.buckets.values() for rule in bucket.objects}
        self.world = _SmallWorld(dataset, broken, with_objects)
        self._chunks: dict[tuple[str, bool], Chunk] = {}
        self._elsewhere: list[WorldError] = []
        """Errors that came from other columns than the one that was tried."""

    def run(self) -> None:
        for relation in self.dataset.relations.values():
            for column in relation.columns:
                self._try_column(relation, column)
        for trial in self.draft.trials:
            if not self.draft.is_wrong(trial.place):
                self._try_expression(trial)
        for error in self._elsewhere:
            place = self._place(error.relation, error.column)
            if error.why and not self.draft.is_wrong(place):
                self.draft.problem(place, error.why)

    def _is_broken(self, name: str) -> bool:
        place = ("generate", name)
        return any(self.draft.is_wrong((*place, key)) for key in ("rows", "per", "most", "open"))

    def _place(self, relation: str, column: str) -> Place:
        place = ("generate", relation)
        if column in self.draft.part(*place, "columns"):
            return (*place, "columns", column)
        return (*place, column) if column else place

    def _try_column(self, relation: Relation, column: str) -> None:
        place = self._place(relation.name, column)
        if not self.draft.is_wrong(place):
            # The content of objects is made while their facts are not known yet.
            with self._trying(place, relation.name, column):
                self._chunk(relation.name, deciding=relation.open).column(column)

    def _try_expression(self, trial: Trial) -> None:
        name = " ".join(trial.place)
        with self._trying(trial.place, trial.relation, name, trial.source):
            found = self._chunk(trial.relation, deciding=trial.decides).expression(name, trial.source)
            if trial.kinds and found.kind not in trial.kinds:
                self.draft.problem(trial.place, f"must be {' or '.join(trial.kinds)}; is {found.kind}")
            elif trial.among:
                self._judge_values(trial, found)

    def _judge_values(self, trial: Trial, found: Column) -> None:
        for value in found.pylist():
            if str(value) not in trial.among:
                self.draft.problem(trial.place, f"must be one of {', '.join(trial.among)}; gives {value!r}")
                return

    @contextmanager
    def _trying(self, place: Place, relation: str, name: str, source: str = "") -> Iterator[None]:
        try:
            yield
        except WorldError as error:
            if (error.relation, error.column) == (relation, name):
                self.draft.problem(place, error.why + _hint(error.why, source))
            else:
                self._elsewhere.append(error)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in numpy or Arrow, this expression made it
            self.draft.problem(place, f"cannot be made: {type(error).__name__}: {error}")

    def _chunk(self, relation: str, *, deciding: bool) -> Chunk:
        self.world.deciding = deciding
        key = (relation, deciding)
        if key not in self._chunks:
            self._chunks[key] = self.world.first(relation)
        return self._chunks[key]


def _hint(why: str, source: Any) -> str:  # noqa: ANN401
    """A text without its quotes is taken for a column's name."""
    if source.isidentifier() and f"has no column {source!r}" in why:
        return f"""; a text stands in quotes of its own: "'{source}'\""""
    return ""

"""Every expression of a dataset, tried on the first rows of its relation before anything is loaded.

What it says is wrong with a column is said once, where the column is defined, and not of whatever uses it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from envctl.seeding.glimpse import Glimpse
from envctl.seeding.world import TooManyRows, WorldError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.config.validation import Place
    from envctl.seeding.column import Column
    from envctl.seeding.spec.draft import Draft, Trial
    from envctl.seeding.spec.model import Dataset, Relation
    from envctl.seeding.world import Chunk

ROWS = 4
"""Rows of the topmost parent on which an expression is tried."""


def judge(draft: Draft, dataset: Dataset) -> None:
    """Note every expression that is none, that uses what is not there, or that gives what its place cannot take."""
    _Trials(draft, dataset).run()


class _Trials:
    """The relations' own expressions, then those of the services."""

    def __init__(self, draft: Draft, dataset: Dataset) -> None:
        self.draft, self.dataset = draft, dataset
        broken = {name for name in dataset.relations if self._is_broken(name)}
        self.world = Glimpse(dataset, ROWS, broken)
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
                self._say(place, error)

    def _is_broken(self, name: str) -> bool:
        place = ("generate", name)
        return self.draft.is_wrong(place, *((*place, key) for key in ("per", "most", "open")))

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
                self._say(place, error, source)
            else:
                self._elsewhere.append(error)
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            # What numpy and Arrow refuse, such as numbers of more than 64 bits.
            self.draft.problem(place, f"cannot be made: {type(error).__name__}: {error}")

    def _say(self, place: Place, error: WorldError, source: str = "") -> None:
        cause = error.__cause__
        if isinstance(cause, TooManyRows) and not self.dataset.relations[cause.relation].fixed:
            self.draft.too_many(place, f"{error.why} at scale {self.dataset.scale:g}", cause.rows, cause.most)
        else:
            self.draft.problem(place, error.why + _hint(error.why, source))

    def _chunk(self, relation: str, *, deciding: bool) -> Chunk:
        self.world.deciding = deciding
        key = (relation, deciding)
        if key not in self._chunks:
            self._chunks[key] = self.world.some(relation)
        return self._chunks[key]


def _hint(why: str, source: str) -> str:
    """A text without its quotes is taken for a column's name."""
    if source.isidentifier() and f"has no column {source!r}" in why:
        return f"""; a text stands in quotes of its own: "'{source}'\""""
    return ""

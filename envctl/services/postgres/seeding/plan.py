"""Where each table's rows come from, and whether they go into it: all problems at once, before a row is loaded."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.errors import ConfigurationError, Problem
from envctl.seeding.chunk import WorldError
from envctl.seeding.column import Column, Kind
from envctl.seeding.spec.sheet import written
from envctl.services.postgres.seeding import files, numerics
from envctl.services.postgres.seeding.catalog import quoted, split
from envctl.services.postgres.seeding.encoding import ACCEPTED, Layout, form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.seeding.chunk import Chunk
    from envctl.seeding.spec import Dataset, Relation, Table
    from envctl.seeding.world import World
    from envctl.services.postgres.seeding.catalog import TableColumn, Target
    from envctl.services.postgres.seeding.files import File

_NUMERIC = 1700
_FREE = frozenset({Kind.TEXT, Kind.JSON, Kind.INT, Kind.BOOL})
"""Kinds that a type may take that has no binary form here."""


@dataclass(frozen=True)
class Source:
    """One table of the dataset: a relation's chunks, or a file (one chunk), for a table of the database."""

    table: Table
    target: Target
    chunks: int
    file: File | None = None

    @property
    def name(self) -> str:
        """The table as the dataset calls it."""
        return self.table.name

    @property
    def expressions(self) -> Mapping[str, str]:
        """The relation's expression for each column."""
        return self.table.columns

    @property
    def layout(self) -> Layout:
        """How generated rows travel."""
        return Layout([self.target.columns[name] for name in self.expressions])

    def copy(self, table: str = "") -> str:
        """The COPY that takes the rows, into the table or another one of the same columns."""
        table = table or self.target.sql
        if self.file:
            return self.file.copy(table)
        names = ", ".join(map(quoted, self.expressions))
        return f"COPY {table} ({names}) FROM STDIN" + (" (FORMAT binary)" if self.layout.binary else "")

    def columns(self, chunk: Chunk) -> list[Column]:
        """The values of the table's columns."""
        return [chunk.expression(f"table {self.name} {name}", source) for name, source in self.expressions.items()]


def full(table: Table, dataset: Dataset) -> Table:
    """The table with an expression for each column, also where all of the relation's are meant."""
    if not table.relation or table.columns:
        return table
    columns = {name: name for name in dataset.relations[table.relation].columns}
    return type(table)(table.name, table.relation, columns)


def sources(world: World, tables: Mapping[tuple[str, str], Target]) -> list[Source]:
    """The dataset's tables, checked against those of the database.

    Raises:
        ConfigurationError: every problem of every table.

    """
    problems: list[Problem] = []
    found: list[Source] = []
    for table in world.dataset.postgres.tables.values():
        source = _source(world, full(table, world.dataset), tables, problems)
        if source:
            found.append(source)
    if problems:
        # What another dataset had left has gone by now.
        raise ConfigurationError(problems, "a valid dataset", "mend the places named above, then seed again")
    return found


def waiting(world: World) -> frozenset[tuple[str, str]]:
    """Relation and column of all values that come from `fact()`, also by way of others."""
    found: frozenset[tuple[str, str]] = frozenset()
    while True:
        more = {
            (name, column)
            for name, spec in world.relations.items()
            for column, expression in spec.columns.items()
            if (name, column) not in found and waits(spec, expression, found)
        }
        if not more:
            return found
        found |= more


def waits(spec: Relation, expression: str, known: frozenset[tuple[str, str]]) -> bool:
    """Whether an expression over the relation comes from `fact()`, where `known` says which columns do."""
    words = _words(expression)
    spoken_of = words | ({spec.per} if "parent" in words else set())
    return "fact" in words or any(
        relation in spoken_of or (relation == spec.name and column in words) for relation, column in known
    )


def _words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))


def _source(
    world: World, table: Table, tables: Mapping[tuple[str, str], Target], problems: list[Problem]
) -> Source | None:
    check = _Check(world, table, problems)
    target = tables.get(split(table.name))
    if target is None:
        check.no_table(tables)
        return None
    if table.file is None:
        check.relation(target)
        return Source(table, target, world.chunks(table.relation))
    file = files.opened(table.file, table.format)
    check.names(target, file.columns)
    return Source(table, target, 1, file)


class _Check:
    """Says what of one table does not go together."""

    def __init__(self, world: World, table: Table, problems: list[Problem]) -> None:
        self.world, self.table, self.problems = world, table, problems

    def no_table(self, tables: Mapping[tuple[str, str], Target]) -> None:
        """Its name is no table's."""
        schema, _ = split(self.table.name)
        known = [f"{s}.{t}" if "." in self.table.name else t for s, t in tables]
        near = difflib.get_close_matches(self.table.name, known, 1)
        what = (
            f"schema {schema!r} has" if schema in {s for s, _ in tables} else f"there is no schema {schema!r}, and so"
        )
        hint = f"did you mean {near[0]!r}?" if near else f"tables: {', '.join(sorted(known)) or 'none'}"
        self._say(f"{what} no table {split(self.table.name)[1]!r} after the SQL files ran; {hint}")

    def names(self, target: Target, names: tuple[str, ...]) -> None:
        """Every name must be a column that can be written, and what needs a value must get one."""
        for name in names:
            column = target.columns.get(name)
            if column is None:
                near = difflib.get_close_matches(name, target.columns, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"columns: {', '.join(target.columns)}"
                self._say(f"the table has no column {name!r}; {hint}", name)
            elif column.generated:
                self._say("the column is generated by the database; leave it out", name)
        for name in sorted({n for n in names if names.count(n) > 1}):
            self._say("the column is named twice", name)
        for column in target.columns.values():
            if column.required and column.name not in names:
                self._say("the column is NOT NULL without a default, and nothing fills it", column.name)

    def relation(self, target: Target) -> None:
        """Names, and the kinds of the expressions; they are those of a chunk without rows."""
        self.names(target, tuple(self.table.columns))
        chunk = self.world.range(self.table.relation, 0, 0)
        for name, expression in self.table.columns.items():
            column = target.columns.get(name)
            if column is None or column.generated:
                continue
            try:
                value = chunk.expression(f"table {self.table.name} {name}", expression)
            except WorldError as error:
                self._say(error.why, name)
                continue
            why = _unfit(column, value)
            if why:
                self._say(why, name)

    def _say(self, message: str, column: str = "") -> None:
        where = str(self.table.file) + ": " if self.table.file else ""
        place = ("postgres", "tables", self.table.name, column)
        origin = written(self.world.dataset, place[:3] + ("columns",) * bool(column) + place[3:])
        key = ".".join(filter(None, place))
        self.problems.append(Problem(f"{where}{message}", key, origin.file, origin.line))


def _unfit(column: TableColumn, value: Column) -> str:
    """Why values of this kind do not go into the column; empty: they do."""
    if value.kind is Kind.NULL:
        return f"is always null, and the column ({column.written}) is NOT NULL" if column.required else ""
    if value.kind not in ACCEPTED.get(form(column), _FREE):
        hints = {Kind.TEXT: "; text(x) makes text"} if Kind.TEXT in ACCEPTED.get(form(column), _FREE) else {}
        return f"{value.kind} does not go into {column.written}{hints.get(Kind.TEXT, '')}"
    if column.type == _NUMERIC and value.kind is Kind.DECIMAL:
        # A modifier is (precision << 16 | scale) + 4, the scale in 11 bits.
        digits = (column.modifier - 4) & 0x7FF if column.modifier >= 0 else numerics.LARGEST_SCALE
        if value.scale > min(digits, numerics.LARGEST_SCALE):
            return f"decimals of {value.scale} digits do not go into {column.written} without loss"
    return ""

"""A rule of a dataset (`redis.keys`) as commands, chunk by chunk of its relation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from envctl.seeding.operators import truth
from envctl.seeding.texts import text
from envctl.services.redis.seeding import patterns, resp

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from envctl.seeding.column import Column
    from envctl.seeding.spec import Keys
    from envctl.seeding.world import Chunk, World

    Flags = NDArray[np.bool_]

SAMPLE_ROWS = 64
"""Rows of the topmost relation that a look takes."""


@dataclass
class Rows:
    """The rows of a chunk that give something: keys, and the fields' values with where they are there."""

    keys: pa.StringArray
    fields: dict[str, tuple[pa.StringArray, Flags | None]]

    def __len__(self) -> int:
        return len(self.keys)


class Rule:
    """One rule. `number` is its place in the dataset: random streams and the progress mark are addressed by it."""

    def __init__(self, number: int, spec: Keys, world: World) -> None:
        self.number, self.spec, self._world = number, spec, world

    def __str__(self) -> str:
        return f"redis.keys[{self.number}] ({self.spec.type} {self.spec.key})"

    @cached_property
    def patterns(self) -> tuple[patterns.Pattern, ...]:
        """What its keys look like."""
        return patterns.patterns_of(self.spec.key, self._world.relation(self.spec.relation).columns)

    @property
    def chunks(self) -> int:
        """Chunks of its relation."""
        return self._world.chunks(self.spec.relation)

    @property
    def relation_rows(self) -> int:
        """Rows of its relation, also those that give nothing."""
        return self._world.rows(self.spec.relation)

    def rows_of(self, chunk: int) -> tuple[Rows, int]:
        """What a chunk gives, and how many rows the relation has there."""
        found = self._world.chunk(self.spec.relation, chunk)
        return self._rows(found), len(found)

    def samples(self) -> Iterator[tuple[Rows, int]]:
        """What a few rows at the beginning, in the middle and at the end give, and how many they are."""
        roots = self._world.relations[self._root].rows
        for start in sorted({0, max(0, roots // 2 - SAMPLE_ROWS), max(0, roots - SAMPLE_ROWS)}):
            found = self._world.range(self.spec.relation, start, min(roots, start + SAMPLE_ROWS))
            yield self._rows(found), len(found)

    def some_keys(self, wanted: int = 3) -> list[str]:
        """A few of its keys; none when no row gives one."""
        every = chain(self.samples(), map(self.rows_of, range(self.chunks)))
        rows = next((rows for rows, _ in every if len(rows)), None)
        return [] if rows is None else [str(key) for key in rows.keys[:wanted].to_pylist()]

    def commands(self, rows: Rows, expires: int) -> resp.Commands:
        """The commands for these rows; the keys end at `expires` (Unix ms), never for 0."""
        kind, fields = self.spec.type, rows.fields
        if kind == "string":
            return resp.strings(rows.keys, fields["value"][0], expires)
        if kind == "hash":
            return resp.hashes(rows.keys, fields, expires)
        if kind == "stream":
            rest = {name: field for name, field in fields.items() if name != "id"}
            return resp.entries(rows.keys, fields["id"][0], rest, expires)
        parts = [fields[name][0] for name in (("score", "member") if kind == "zset" else ("member",))]
        return resp.members(kind, rows.keys, parts, expires)

    @property
    def _root(self) -> str:
        name = self.spec.relation
        while above := self._world.relation(name).per:
            name = above
        return name

    def _rows(self, chunk: Chunk) -> Rows:
        keys = self._column(chunk, "key", self.spec.key)
        fields = {name: self._column(chunk, f"field {name}", e) for name, e in self.spec.fields.items()}
        wanted = truth(self._column(chunk, "when", self.spec.when)) if self.spec.when else None
        needed: list[Column] = [keys]
        some: list[Column] = []
        for name, column in fields.items():
            optional = self.spec.type == "hash" or (self.spec.type == "stream" and name != "id")
            (some if optional else needed).append(column)
        there = _everywhere([wanted, *(column.valid for column in needed), _any_of(some)])
        if there is not None and not there.all():
            index = np.flatnonzero(there)
            keys, fields = keys.take(index), {name: column.take(index) for name, column in fields.items()}
        return Rows(text(keys), {name: (text(column), column.valid) for name, column in fields.items()})

    def _column(self, chunk: Chunk, place: str, source: str) -> Column:
        return chunk.expression(f"redis.keys[{self.number}] {place}", source)


def _everywhere(flags: list[Flags | None]) -> Flags | None:
    """Where all are true; None: everywhere."""
    found: Flags | None = None
    for flag in flags:
        if flag is not None:
            found = flag if found is None else found & flag
    return found


def _any_of(columns: list[Column]) -> Flags | None:
    """Where at least one is not null; None: everywhere."""
    flags = [column.valid for column in columns if column.valid is not None]
    if len(flags) < len(columns) or not columns:
        return None
    found: Flags = np.logical_or.reduce(flags)
    return found

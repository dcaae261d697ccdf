"""Objects that a dataset generates: which there are, their exact bytes, and their facts."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING

from envctl.seeding.column import Kind
from envctl.seeding.expressions import ExpressionError
from envctl.seeding.facts import Fact, being_made
from envctl.seeding.objects.csv import Csv
from envctl.seeding.objects.defects import Defect, empty
from envctl.seeding.objects.jsonl import JsonLines
from envctl.seeding.objects.lines import LineBody
from envctl.seeding.objects.parquet import Parquet, ParquetBody
from envctl.seeding.objects.records import Records
from envctl.seeding.objects.stream import Stream
from envctl.seeding.texts import text
from envctl.seeding.world import WorldError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from envctl.seeding.spec import Dataset, Objects
    from envctl.seeding.world import Chunk, World

_FORMATS: Mapping[str, Callable[[Records], JsonLines | Csv | Parquet]] = {
    "jsonl": JsonLines,
    "csv": Csv,
    "parquet": Parquet,
}
_TRIED = 1024
"""Rows whose objects are looked at when they are set up, one of each kind."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object: the row of the relation that it stands for, and what its bytes depend on. `size` is in bytes.

    Entries that agree in all but `row` and `key` have the same bytes.
    """

    row: int
    key: str
    size: int
    format: str
    version: str
    defect: Defect
    content_of: int


class Bodies:
    """All objects of one rule. Thread-safe; nothing is kept but expressions.

    Raises:
        WorldError: (at once) a name, kind or size is wrong; from any method, a value cannot be made.

    """

    def __init__(self, world: World, objects: Objects) -> None:
        self._world, self._objects = world, objects
        self._versions = [str(name) for name in objects.versions]
        if not world.relation(objects.content).open:
            raise WorldError(objects.content, "", "must be open: objects take as many of its rows as they need")
        self._made: dict[tuple[str, str], JsonLines | Csv | Parquet] = {}
        self._try()

    def count(self) -> int:
        """How many objects there are."""
        return self._world.rows(self._objects.relation)

    def entries(self) -> Iterator[Entry]:
        """All objects in order."""
        for index in range(self._world.chunks(self._objects.relation)):
            yield from self.plan(index)

    def plan(self, chunk_index: int) -> list[Entry]:
        """The objects of one chunk of the relation."""
        return self._planned(self._world.chunk(self._objects.relation, chunk_index))

    def entry(self, row: int) -> Entry:
        """The object of one row."""
        chunk, place = self._world.containing(self._objects.relation, row)
        return self._planned(chunk)[place]

    def stream(self, entry: Entry) -> Stream:
        """The object's exact bytes, once; makes no more than some MB at a time."""
        return Stream(empty() if entry.defect is Defect.EMPTY else self._body(entry).pieces())

    def fact(self, entry: Entry) -> Fact:
        """Makes the object's bytes and throws them away."""
        stream, digest, size = self.stream(entry), hashlib.md5(usedforsecurity=False), 0
        for piece in stream:
            digest.update(piece)
            size += len(piece)
        return Fact(size, digest.hexdigest(), stream.rows)

    def fact_of(self, row: int) -> Fact:
        """The facts of one row's object; its key, which may depend on them, is not asked for."""
        chunk, place = self._world.containing(self._objects.relation, row)
        return self.fact(self._keyless(chunk)[place])

    def _body(self, entry: Entry) -> LineBody | ParquetBody:
        file = self._file(entry.format, entry.version, entry.content_of)
        if isinstance(file, Parquet):
            return ParquetBody(file, entry.content_of, entry.size, entry.defect)
        return LineBody(file, entry.content_of, entry.size, entry.defect)

    def _file(self, kind: str, version: str, parent: int) -> JsonLines | Csv | Parquet:
        if (kind, version) not in self._made:
            self._made[kind, version] = _FORMATS[kind](Records(self._world, self._objects, version, parent))
        return self._made[kind, version]

    def _planned(self, chunk: Chunk) -> list[Entry]:
        keys = self._texts(chunk, "key", self._objects.key)
        return [replace(entry, key=key) for key, entry in zip(keys, self._keyless(chunk), strict=True)]

    def _keyless(self, chunk: Chunk) -> list[Entry]:
        """The objects without their keys, which may tell what is only known of the bytes."""
        objects = self._objects
        formats = self._texts(chunk, "format", objects.format, _FORMATS)
        versions = self._texts(chunk, "version", objects.version, self._versions)
        defects = self._texts(chunk, "defect", objects.defect, list(Defect))
        contents = chunk.expression(self._place("content_of", objects.content_of), objects.content_of)
        if contents.kind is not Kind.INT:
            raise WorldError(objects.relation, "content_of", f"is {contents.kind}; must be the number of a row")
        sizes = [0 if defect == Defect.EMPTY else objects.size for defect in defects]
        rows, owners = chunk.rows.tolist(), contents.numbers.tolist()
        found = zip(rows, repeat(""), sizes, formats, versions, map(Defect, defects), owners)
        return [Entry(*fields) for fields in found]

    def _texts(self, chunk: Chunk, name: str, source: str, known: Collection[str] | None = None) -> list[str]:
        """The values of one of the rule's expressions."""
        column = chunk.expression(self._place(name, source), source)
        found: list[str] = text(column).to_pylist()
        wrong = set(found) - set(known) if known is not None else {""} & set(found)
        if wrong:
            row = chunk.rows[found.index(min(wrong))]
            wanted = f"one of {', '.join(known)}" if known is not None else "a text"
            raise WorldError(self._objects.relation, name, f"of row {row} is {min(wrong)!r}; must be {wanted}")
        return found

    def _place(self, name: str, source: str) -> str:
        """Where an expression of the rule stands; other rules for the same relation have other expressions."""
        return f"objects' {name}: {source}"

    def _try(self) -> None:
        """Make the first object of each kind begin, so that nobody finds out later that it cannot."""
        chunks = (
            self._world.chunk(self._objects.relation, i) for i in range(self._world.chunks(self._objects.relation))
        )
        tried: set[tuple[str, str, Defect]] = set()
        with being_made(self._objects.relation):
            for entry in islice(chain.from_iterable(map(self._keyless, chunks)), _TRIED):
                kind = (entry.format, entry.version, entry.defect)
                if entry.defect is not Defect.EMPTY and kind not in tried:
                    tried.add(kind)
                    self._check(entry)

    def _check(self, entry: Entry) -> None:
        least = self._body(entry).smallest()
        if entry.size < least:
            what = f"a {entry.format} file of version {entry.version} has at least {least}"
            raise WorldError(self._objects.relation, "size", f"is {entry.size} bytes; {what}")


def compute(world: World, dataset: Dataset) -> Callable[[str, int], Fact]:
    """What `Facts` asks: the facts of the object of a relation's row, by making its bytes.

    Where several rules make objects from one relation, the facts are those of the first.
    """
    rules: dict[str, Objects] = {}
    for objects in (o for bucket in dataset.buckets.values() for o in bucket.objects):
        rules.setdefault(objects.relation, objects)
    made: dict[str, Bodies] = {}
    lock = threading.Lock()

    def fact(relation: str, row: int) -> Fact:
        if relation not in rules:
            raise ExpressionError(f"fact(): no objects are made from relation {relation!r}")
        with lock:
            if relation not in made:
                made[relation] = Bodies(world, rules[relation])
        return made[relation].fact_of(row)

    return fact

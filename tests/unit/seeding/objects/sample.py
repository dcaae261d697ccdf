"""A small world with every kind of value, and what its rows are when nothing of the encoders is used."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.seeding.column import Column, Kind
from envctl.seeding.objects import Bodies, Defect, Entry
from envctl.seeding.spec import Bucket, Dataset, Objects, Relation
from envctl.seeding.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMATS = ("jsonl", "csv", "parquet")
VERSIONS: Mapping[str, Any] = {
    "plain": {"id": "id", "name": "name"},
    "numbers": {"line": "line", "debt": "debt", "count": "count"},
    "all": {
        name: name
        for name in ("id", "name", "odd", "note", "count", "debt", "at", "day", "good", "maybe", "document", "nothing")
    },
    "nested": {
        "id": "id",
        "where": {"site": "odd", "spot": {"x": "debt", "y": "count"}},
        "good": "good",
        "note": "note",
    },
    "narrow": {"n": "line % 7"},
    "one": {"note": "note"},
}
RELATIONS = {
    "files": Relation("files", {"name": 'f"file-{row:04}"', "at": 'moment("2025-01-01", "2026-01-01")'}, rows=20),
    "records": Relation(
        "records",
        {
            "id": 'f"{parent.name}/{line:06}"',
            "name": "f\"{word('plain')} {hex(4)}\"",
            "odd": "word('odd')",
            "note": "word('odd') if chance(0.3) else None",
            "count": "number(-50, 100000) if chance(0.5) else None",
            "debt": "decimal(number(-5000, 5000), 2)",
            "at": "parent.at + milliseconds(line * 7)",
            "day": "date(at)",
            "good": "chance(0.5)",
            "maybe": "good if chance(0.5) else None",
            "document": "json(odd=odd, list=array(line, note))",
            "nothing": "None",
        },
        per="files",
        open=True,
    ),
}
WORDS = {
    "plain": ("alpha", "beta", "gamma"),
    "odd": (
        "",
        "a,b",
        'said "so"',
        "two\nlines",
        "Zürich",
        "😀 and ☃",
        "back\\slash",
        "plain",
        "tab\tand\rreturn",
        " b ",
    ),
}


def rule(size: int, kind: str = "jsonl", version: str = "all", defect: str = "none", **more: object) -> Objects:
    """A rule that gives all objects of one kind."""
    given: dict[str, Any] = {
        "key": 'f"{name}.data"',
        "content": "records",
        "versions": VERSIONS,
        "version": f"'{version}'",
        **more,
    }
    return Objects("files", size=size, **{"format": f"'{kind}'", "defect": f"'{defect}'", **given})


def dataset(*rules: Objects, relations: Mapping[str, Relation] = RELATIONS) -> Dataset:
    """The world, with these objects in one bucket."""
    return Dataset(
        "sample",
        Path("sample.yaml"),
        seed=7,
        words=WORDS,
        relations=relations,
        buckets={"app": Bucket("app", (), rules)},
    )


def bodies(size: int, *given: str, **more: object) -> Bodies:
    """The objects of one rule."""
    return Bodies(World(dataset()), rule(size, *given, **more))


def taken(objects: Bodies, entry: Entry) -> tuple[bytes, int]:
    """An object's bytes and intact rows."""
    stream = objects.stream(entry)
    return b"".join(stream), stream.rows


@cache
def usual(kind: str, version: str) -> Bodies:
    """Objects of one format and version; entries may ask for other sizes and defects than the rule."""
    return bodies(1_000_000, kind, version)


def made(size: int, kind: str, version: str = "all", defect: str = "none", parent: int = 3) -> tuple[bytes, int]:
    """One object's bytes and intact rows."""
    return taken(usual(kind, version), Entry(0, "key", size, kind, version, Defect(defect), parent))


def smallest(kind: str, version: str, defect: str = "none", parent: int = 3) -> int:
    """The least size that such an object can have."""
    entry = Entry(0, "key", 1_000_000, kind, version, Defect(defect), parent)
    return usual(kind, version)._body(entry).smallest()


def expected(version: str, rows: int, parent: int = 3) -> list[dict[str, Any]]:
    """The rows of one version as Python's values."""
    chunk = _world().opened("records", parent, 0, rows)

    def column(name: str, shape: object) -> list[Any]:
        if isinstance(shape, str):
            return _values(chunk.expression(f"{name} expected", shape))
        inner = {below: column(f"{name}.{below}", it) for below, it in shape.items()}
        return [dict(zip(inner, row, strict=True)) for row in zip(*inner.values(), strict=True)]

    columns = {name: column(name, shape) for name, shape in VERSIONS[version].items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@cache
def _world() -> World:
    return World(dataset())


def _values(column: Column) -> list[Any]:
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    read = {
        Kind.TIME: lambda value: epoch + dt.timedelta(microseconds=value),
        Kind.DATE: lambda value: (epoch + dt.timedelta(days=value)).date(),
        Kind.DECIMAL: lambda value: Decimal(value).scaleb(-column.scale),
        Kind.JSON: json.loads,
    }.get(column.kind, lambda value: value)
    return [None if value is None else read(value) for value in column.pylist()]

"""Worlds of a few rows for tests of the language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from envctl.seeding.spec import Dataset, Relation
from envctl.seeding.world import World

WORDS = {"colours": ("red", "green", "blau", "größer")}


def world(*relations: Relation, seed: int = 1) -> World:
    """A world of these relations."""
    return World(Dataset("test", Path("test.yaml"), seed=seed, words=WORDS, relations={r.name: r for r in relations}))


def column(source: str, rows: int = 8, **others: str) -> list[Any]:
    """The values of one expression, in a relation of its own with `others` as columns."""
    made = world(Relation("things", {"wanted": source, **others}, rows=rows))
    return [value for chunk in made.iterate("things") for value in chunk.column("wanted").pylist()]

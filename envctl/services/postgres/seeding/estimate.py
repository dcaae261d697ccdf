"""How much there is to load, without asking the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.seeding.column import TEXTUAL, lengths
from envctl.seeding.loading import Size
from envctl.services.postgres.seeding import files, plan

if TYPE_CHECKING:
    from envctl.seeding.spec import Relation, Table
    from envctl.seeding.world import World

_SAMPLE = 64
_NUMBER, _FACT, _ROW, _LENGTH = 8, 24, 2, 4
"""Bytes of a number, of what cannot be asked yet, and of what COPY writes around rows and before values."""


def size(world: World) -> Size:
    """All tables together. Bytes are estimated from the first rows of each relation."""
    total, waiting = Size(0, 0), plan.waiting(world)
    for table in world.dataset.postgres.tables.values():
        total += _of_file(table) if table.file else _of_relation(world, plan.full(table, world.dataset), waiting)
    return total


def _of_file(table: Table) -> Size:
    if table.file is None:
        return Size(0, 0)
    return Size(files.rows(table.file, table.format), table.file.stat().st_size)


def _of_relation(world: World, table: Table, waiting: frozenset[tuple[str, str]]) -> Size:
    rows = world.rows(table.relation)
    chunk = world.range(table.relation, 0, min(_SAMPLE, _topmost(world, table.relation).rows))
    width = float(_ROW)
    for name, expression in table.columns.items():
        width += _LENGTH
        if plan.waits(world.relation(table.relation), expression, waiting):
            width += _FACT
            continue
        column = chunk.expression(f"table {table.name} {name}", expression)
        textual = column.kind in TEXTUAL and len(column)
        width += lengths(column.strings).mean() if textual else _NUMBER
    return Size(rows, int(rows * width))


def _topmost(world: World, relation: str) -> Relation:
    spec = world.relation(relation)
    return _topmost(world, spec.per) if spec.per else spec

"""Functions of the language that look at other relations, or at the objects that rows stand for."""

# ruff: noqa: D402 - the first lines say how the functions are called in datasets

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envctl.seeding import arrow, texts
from envctl.seeding.column import Column, Kind, constant
from envctl.seeding.expressions import ExpressionError
from envctl.seeding.operators import both, number, summable

if TYPE_CHECKING:
    from envctl.seeding.expressions import Arguments, Evaluator
    from envctl.seeding.world import Chunk


def at(call: Arguments) -> Evaluator:
    """at(products.price, r): the column's value in row r of that relation."""
    (relation, column), rows = call.path("column"), call.value("row")

    def make(chunk: Chunk) -> Column:
        table, places = chunk.world.lookup(relation, column), rows(chunk)
        wanted = number(places) if places.valid is None else np.where(places.valid, number(places), 0)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(table):
            raise ExpressionError(
                f"at(): row {wanted.min()} or {wanted.max()} is not in {relation} (0 to {len(table) - 1})"
            )
        found = table.take(wanted)
        return Column(found.kind, found.values, both(found, places), found.scale)

    return make


def total(call: Arguments) -> Evaluator:
    """total(items.amount): the sum over the rows per this row; total(items): how many there are."""
    relation, column = call.path("column")

    def make(chunk: Chunk) -> Column:
        children = chunk.children(relation)
        ends = np.cumsum(np.bincount(children.parent_index, minlength=len(chunk)))
        if not column:
            return Column(Kind.INT, np.diff(ends, prepend=0))
        amounts = children.column(column)
        numbers = summable(amounts, "total")
        # Children stand in their parents' order, so that a parent's sum is the growth of the running sum over them.
        running = np.concatenate([[0], np.cumsum(numbers)])
        return Column(amounts.kind, np.diff(running[ends], prepend=0), None, amounts.scale)

    return make


def gather(call: Arguments) -> Evaluator:
    """gather(items.document): a JSON array of that column of the rows per this row."""
    relation, column = call.path("column")

    def make(chunk: Chunk) -> Column:
        children = chunk.children(relation)
        documents = texts.json_value(children.column(column))
        counts = np.bincount(children.parent_index, minlength=len(chunk))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        lists = pa.ListArray.from_arrays(arrow.array(offsets), documents)
        return Column(Kind.JSON, arrow.concatenated("[", pc.binary_join(lists, arrow.constant(",")), "]"))

    return make


def tally(call: Arguments) -> Evaluator:
    """tally(items.product, items.quantity): for each row here, the sum over all rows there whose first column it is."""
    index = call.path("index")
    amount = call.path("amount") if call.given("amount") else (index[0], "")
    if amount[0] != index[0] or not index[1]:
        raise ExpressionError(
            "tally(): wants two columns of one relation, such as tally(items.product, items.quantity)"
        )

    def make(chunk: Chunk) -> Column:
        table = chunk.world.tally(chunk.relation.name, index, amount)
        return table.take(chunk.rows)

    return make


def rows(call: Arguments) -> Evaluator:
    """rows(orders): how many rows that relation has."""
    relation, _ = call.path("relation")
    return lambda chunk: constant(chunk.world.rows(relation), len(chunk))


def fact(call: Arguments) -> Evaluator:
    """fact("size" | "etag" | "rows"): of the object that is generated from this row."""
    name = call.literal("name", str)
    if name not in {"size", "etag", "rows"}:
        raise ExpressionError(f"fact(): {name!r} is not size, etag or rows")

    def make(chunk: Chunk) -> Column:
        if chunk.world.facts is None:
            raise ExpressionError("fact(): nothing makes objects from this relation")
        return chunk.world.facts(chunk.relation.name, chunk.rows)[name]

    return make

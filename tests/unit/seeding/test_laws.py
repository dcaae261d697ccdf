"""Laws of every world that the language can describe: values are functions of their place, and counts are exact."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envctl.seeding import world as worlds
from envctl.seeding.spec import Relation, load
from tests.unit.seeding.tiny import WORDS, world
from tests.unit.seeding.trees import digest, trees, written

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from envctl.seeding.world import Chunk, World

Tree = tuple[Relation, ...]

ROOT = Path(__file__).parents[3]


def closed(tree: Tree) -> list[str]:
    """The relations that have a number of rows."""
    return [relation.name for relation in tree if not relation.open]


def top(made: World, relation: str) -> Relation:
    """The relation with rows of its own that it hangs from."""
    found = made.relations[relation]
    return top(made, found.per) if found.per else found


def rows(chunk: Chunk, columns: Sequence[str] = ()) -> dict[int, dict[str, object]]:
    """Every row by its number; columns are made in the order given."""
    names = columns or [*chunk.relation.columns]
    made = {name: chunk.column(name).pylist() for name in names}
    return {row: {name: made[name][at] for name in sorted(names)} for at, row in enumerate(chunk.rows.tolist())}


def whole(made: World, relation: str) -> dict[int, dict[str, object]]:
    """Every row of a relation."""
    return {number: row for chunk in made.iterate(relation) for number, row in rows(chunk).items()}


@settings(deadline=None)
@given(tree=trees(), data=st.data())
def test_any_range_of_rows_alone_has_the_values_that_it_has_in_the_whole(tree: Tree, data: st.DataObject) -> None:
    """Workers make chunks in any order, and a resume makes only those that are missing."""
    relation = data.draw(st.sampled_from(closed(tree)))
    every, alone = world(*tree), world(*tree)
    start = data.draw(st.integers(0, top(alone, relation).rows - 1))
    stop = data.draw(st.integers(start + 1, top(alone, relation).rows))
    part, wanted = rows(alone.range(relation, start, stop)), whole(every, relation)
    assert part == {row: wanted[row] for row in part}
    before, after = (len(every.range(relation, a, b)) for a, b in ((0, start), (0, stop)))
    assert list(part) == list(wanted)[before:after]


@settings(deadline=None)
@given(tree=trees(), slots=st.integers(1, 40), shuffled=st.randoms(use_true_random=False))
def test_chunks_of_any_size_and_columns_in_any_order_have_the_same_values(
    tree: Tree, slots: int, shuffled: random.Random
) -> None:
    """Nothing that was made before leaves a trace in what is made after."""
    wanted = {relation: whole(world(*tree), relation) for relation in closed(tree)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "CHUNK_SLOTS", slots)
        made = world(*tree)
        pieces = [(relation, index) for relation in closed(tree) for index in range(made.chunks(relation))]
        shuffled.shuffle(pieces)
        found: dict[str, dict[int, dict[str, object]]] = {relation: {} for relation in closed(tree)}
        for relation, index in pieces:
            columns = [*made.relations[relation].columns]
            shuffled.shuffle(columns)
            found[relation] |= rows(made.chunk(relation, index), columns)
    assert found == wanted


@settings(deadline=None)
@given(tree=trees(), data=st.data())
def test_some_rows_of_a_chunk_have_the_values_that_they_have_in_it(tree: Tree, data: st.DataObject) -> None:
    """Whoever makes a side of an `if` for its rows alone gets what he would have got for all."""
    relation = data.draw(st.sampled_from(closed(tree)))
    chunk = world(*tree).chunk(relation, 0)
    places = np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=len(chunk), max_size=len(chunk))))
    for source in chunk.relation.columns.values():
        every = chunk.expression("place", source).pylist()
        assert chunk.only(places).expression("place", source).pylist() == [every[at] for at in places], source


@settings(deadline=None)
@given(tree=trees(), slots=st.integers(1, 40))
def test_counts_are_exact(tree: Tree, slots: int) -> None:
    """`rows()` is what the chunks have; each parent's row has as many as its count says, under numbers of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "CHUNK_SLOTS", slots)
        made = world(*tree)
        for relation in closed(tree):
            spec, chunks = made.relations[relation], [*made.iterate(relation)]
            numbers = [row for chunk in chunks for row in chunk.rows.tolist()]
            assert made.rows(relation) == len(numbers) == sum(map(len, chunks))
            assert numbers == sorted({*numbers})
            if not spec.per:
                assert numbers == list(range(spec.rows))
                continue
            for chunk in chunks:
                assert chunk.parent is not None
                counts = chunk.parent.evaluate(made.evaluator(relation, "count", spec.count)).pylist()
                there = np.bincount(chunk.parent_index, minlength=len(chunk.parent)).tolist()
                assert there == counts == chunk.parent.expression("test", f"total({relation})").pylist()


@settings(deadline=None)
@given(tree=trees().filter(lambda tree: len(closed(tree)) < len(tree)), data=st.data())
def test_an_open_relation_has_any_rows_alone(tree: Tree, data: st.DataObject) -> None:
    """An object's bytes are made in pieces, and again from the middle."""
    relation = data.draw(st.sampled_from([relation for relation in tree if relation.open]))
    parent = data.draw(st.integers(0, world(*tree).rows(relation.per) - 1))
    start, length = data.draw(st.integers(0, 60)), data.draw(st.integers(1, 40))
    wanted = rows(world(*tree).opened(relation.name, parent, 0, 100))
    part = rows(world(*tree).opened(relation.name, parent, start, start + length))
    assert part == {row: wanted[row] for row in part}
    assert len(part) == length


@settings(deadline=None, max_examples=3)
@given(several=st.lists(trees(), min_size=20, max_size=20), hash_seed=st.integers(0, 1000))
def test_another_process_makes_the_same_bytes(several: list[Tree], hash_seed: int) -> None:
    """On the same machine; golden values stand for others."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.unit.seeding.trees"],
        input=json.dumps([written(tree) for tree in several]),
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    assert json.loads(ran.stdout) == [digest(world(*tree)) for tree in several]


def as_file(tree: Tree) -> str:
    """The dataset that has these relations (JSON is YAML)."""
    kept = {"rows": 0, "fixed": False, "per": "", "count": "", "most": 0, "open": False}
    parts = {
        relation.name: {"columns": dict(relation.columns)}
        | {key: value for key, none in kept.items() if (value := getattr(relation, key)) != none}
        for relation in tree
    }
    words = {name: list(listed) for name, listed in WORDS.items()}
    filled = {"kafka": {"topics": {"empty": {}}}}
    return json.dumps({"description": "A tree.", "seed": 1, "words": words, "generate": parts, **filled})


@settings(deadline=None)
@given(tree=trees(), scale=st.floats(0.0001, 20))
def test_scale_keeps_the_shape_and_at_least_one_row(tree: Tree, scale: float) -> None:
    """Rows are multiplied and rounded; `fixed` ones stay; a file describes just what it says."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tree.yaml")
        file.write_text(as_file(tree))
        plain, scaled = worlds.World(load(str(file))), worlds.World(load(str(file), scale))
    assert digest(plain) == digest(world(*tree))
    for relation in tree:
        found = scaled.relations[relation.name]
        wanted = relation.rows if relation.fixed else max(1, round(relation.rows * scale))
        assert found.rows == (0 if relation.per else wanted)
        assert (found.per, found.most, found.columns) == (relation.per, relation.most, relation.columns)
        assert relation.open or scaled.rows(relation.name) >= (not relation.per)

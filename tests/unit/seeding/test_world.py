"""Worlds: any rows alone, numbered the same whatever else there is."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envctl.seeding import world as worlds
from envctl.seeding.spec import Relation
from envctl.seeding.world import World, WorldError
from tests.unit.seeding.tiny import world

RELATIONS = (
    Relation("orders", {"id": "row + 1", "n": "number(0, 99)", "sum": "total(items.n)"}, rows=40),
    Relation("items", {"n": "number(0, 99)", "of": "parent.id", "at": "line"}, per="orders", count="n % 4", most=3),
    Relation("parts", {"n": "hex(8)", "of": "parent.of"}, per="items", count="(n + at) % 3", most=2),
    Relation("records", {"n": "number(0, 99)", "of": "parent.id"}, per="orders", open=True),
)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose chunks are so small that there are many."""
    monkeypatch.setattr(worlds, "CHUNK_SLOTS", 24)
    return world(*RELATIONS)


def values(made: World, relation: str) -> dict[int, list[object]]:
    """All values by row number."""
    names = made.relations[relation].columns
    return {
        row: list(columns)
        for chunk in made.iterate(relation)
        for row, *columns in zip(chunk.rows.tolist(), *(chunk.column(c).pylist() for c in names), strict=True)
    }


@pytest.mark.parametrize("relation", ["orders", "items", "parts"])
def test_values_do_not_depend_on_the_size_of_chunks(small_chunks: World, relation: str) -> None:
    """Nor on which chunk a row is in, so workers may take what they like."""
    many, one = values(small_chunks, relation), {}
    assert small_chunks.chunks(relation) > 1
    for start in range(0, 40, 7):
        chunk = world(*RELATIONS).range(relation, start, min(40, start + 7))
        columns = [chunk.column(name).pylist() for name in chunk.relation.columns]
        one |= {row: list(rest) for row, *rest in zip(chunk.rows.tolist(), *columns, strict=True)}
    assert many == one


@settings(deadline=None)
@given(start=st.integers(0, 39), length=st.integers(1, 10))
def test_rows_of_children_are_numbered_from_their_parents(start: int, length: int) -> None:
    """Unique, in order, and known without those before them."""
    made = world(*RELATIONS)
    part = made.range("parts", start, min(40, start + length))
    items = made.range("items", start, min(40, start + length))
    rows = part.rows.tolist()
    assert rows == sorted(set(rows))
    assert [row // 2 for row in rows] == items.rows[part.parent_index].tolist()
    assert part.column("of").pylist() == [items.column("of").pylist()[at] for at in part.parent_index.tolist()]


def test_open_relations_give_as_many_rows_as_somebody_takes() -> None:
    """And any of them alone: the content of a file is made in pieces."""
    made = world(*RELATIONS)
    whole = made.opened("records", 3, 0, 100)
    assert whole.column("of").pylist() == [4] * 100
    assert made.opened("records", 3, 60, 70).column("n").pylist() == whole.column("n").pylist()[60:70]
    assert made.opened("records", 4, 0, 100).column("n").pylist() != whole.column("n").pylist()


def test_some_rows_of_a_chunk_have_the_values_that_they_have_in_it() -> None:
    """Also columns that nobody asked the chunk for, draws of their own, parents and children."""
    import numpy as np

    made = world(*RELATIONS)
    items, orders = made.chunk("items", 0), made.chunk("orders", 0)
    where = np.array([1, 5, 6])
    for source in ("n", "line", "row", "parent.n", "number(0, 999)", "deal([1, 2, 3])", "total(parts)"):
        every = items.expression("place", source).pylist()
        assert items.only(where).expression("place", source).pylist() == [every[at] for at in where], source
    assert orders.only(where).column("sum").pylist() == orders.column("sum").take(where).pylist()


def test_the_number_of_rows_is_counted_where_it_is_not_given() -> None:
    """Each parent has a count of its own."""
    made = world(*RELATIONS)
    assert made.rows("orders") == 40
    assert made.rows("items") == len(values(made, "items"))
    with pytest.raises(WorldError, match="is open"):
        made.rows("records")


@pytest.mark.parametrize(
    ("count", "said"),
    [("n", "must be from 0 to 3"), ("0 - 1", "must be from 0 to 3"), ("'a'", "text stands where a whole number must")],
)
def test_a_count_that_cannot_be_is_said(count: str, said: str) -> None:
    """`most` is what row numbers are made with: more would give two rows one number."""
    made = world(RELATIONS[0], Relation("items", {}, per="orders", count=count, most=3))
    with pytest.raises(ValueError, match=said):
        made.chunk("items", 0)


def test_columns_that_go_in_a_circle_are_said() -> None:
    """Instead of Python's own words for too deep a recursion."""
    made = world(Relation("things", {"a": "b + 1", "b": "a + 1"}, rows=1))
    with pytest.raises(WorldError, match="is defined by itself"):
        made.chunk("things", 0).column("a")


def test_what_is_too_large_to_be_looked_up_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays what it is at any scale."""
    monkeypatch.setattr(worlds, "LARGEST_LOOKUP", 39)
    made = world(*RELATIONS, Relation("more", {"at": "at(orders.n, row)", "tally": "tally(items.n)"}, rows=40))
    for column in ("at", "tally"):
        with pytest.raises(WorldError, match="39"):
            made.chunk("more", 0).column(column)


def test_threads_see_the_same_world() -> None:
    """Loaders of several services share one."""
    made, found = world(*RELATIONS, Relation("more", {"x": "tally(items.n)"}, rows=100)), []
    threads = [threading.Thread(target=lambda: found.append(values(made, "more"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [values(world(*made.relations.values()), "more")] * 4

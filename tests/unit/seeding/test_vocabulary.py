"""The functions of the language, each by what it promises."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections import Counter

import pytest

from envctl.seeding.spec import Relation
from envctl.seeding.vocabulary import FUNCTIONS
from envctl.seeding.world import World, WorldError
from tests.unit.seeding.tiny import WORDS, column, world

VALUES = {
    "pick('colours', row)": ["red", "green", "blau", "größer", "red"],
    "pick(['a', 'b'], row + 1)": ["b", "a", "b", "a", "b"],
    "pick([10, 20], None if row == 1 else row)": [10, None, 10, 20, 10],
    "rows(things) - row": [5, 4, 3, 2, 1],
    "millis(time('1970-01-01T00:00:01.5+01:00'))": [-3598500] * 5,
    "date(time('1970-01-02T23:59:59Z')) - date(time('1970-01-01'))": [1] * 5,
    "milliseconds(1) + seconds(1) + minutes(1) + hours(1) + days(1)": [90_061_001_000] * 5,
    "text(decimal(1234 + row, 2))": ["12.34", "12.35", "12.36", "12.37", "12.38"],
    "lower('ÄB') == 'äb' and upper('äb') == 'ÄB'": [True] * 5,
    "json(a=row, b=array('x', None, row == 0))": [f'{{"a":{n},"b":["x",null,{json.dumps(n == 0)}]}}' for n in range(5)],
    "json()": ["{}"] * 5,
    "array()": ["[]"] * 5,
    "min(row, 2) + max(row, 3)": [3, 4, 5, 5, 6],
}
NOTHING = "(None if row == 1 else row)"
NULLS = ("min({}, 7)", "max({}, 7)", "at(things.n, {})", "pick([1, 2], {})", "days({})", "decimal({}, 2)")
TIMES = ("millis({})", "date({})", "text({})")
MISTAKES = {
    "number(2, 1)": "is no range",
    "number(1, 2, skew=7)": "skew 7 is not from 1 (none) to 6",
    "chance(2)": "no probability",
    "choose([])": "weights must be whole numbers",
    "choose({'a': -1})": "weights must be whole numbers",
    "choose(['a', 1])": "must all be texts or all whole numbers",
    "pick([True], 0)": "must all be texts or all whole numbers",
    "pick('colours', 'a')": "text stands where a whole number must",
    "word('shapes')": "no word list is named 'shapes'; known: colours",
    "ref(nobody)": "no relation is named 'nobody'",
    "at(things.n, 8)": "is not in things (0 to 7)",
    "at(5, 0)": "must be a relation or relation.column",
    "total(things.n)": "is not `per: things`",
    "tally(things)": "wants two columns of one relation",
    "tally(things.n, things.c)": "text cannot be added up",
    "moment('2026-01-02', '2026-01-01')": "the end must be after the start",
    "moment('yesterday', '2026-01-01')": "is no time such as",
    "millis(row)": "int stands where time must",
    "hex(17)": "not from 1 to 16",
    "decimal('a', 2)": "text is no number",
    "decimal(1, 19)": "19 digits are not from 0 to 18",
    "decimal(1, -1)": "-1 digits are not from 0 to 18",
    "f'{row:0101}'": "at most 100 digits",
    "min(row, 'a')": "int and text are not of one kind",
    "fact('colour')": "is not size, etag or rows",
    "fact('size')": "nothing makes objects",
}


def shop(customers: int = 50, orders: int = 400) -> World:
    """Three relations that look at one another."""
    return world(
        Relation(
            "customers",
            {
                "spent": "tally(orders.customer, orders.amount)",
                "count": "tally(orders.customer)",
                "name": "f'c{row}'",
            },
            rows=customers,
        ),
        Relation(
            "orders",
            {
                "customer": "ref(customers, skew=2)",
                "name": "at(customers.name, customer)",
                "amount": "total(items.amount)",
                "items": "total(items)",
                "lines": "gather(items.line)",
                "at": "moment('2025-01-01', '2026-01-01')",
                "shuffled": "permute()",
            },
            rows=orders,
        ),
        Relation("items", {"amount": "decimal(number(1, 900), 2)"}, per="orders", count="number(0, 3)", most=3),
    )


@pytest.mark.parametrize("source", VALUES)
def test_a_function_gives(source: str) -> None:
    """Exactly this."""
    assert column(source, rows=5) == VALUES[source]


@pytest.mark.parametrize("source", [*NULLS, *TIMES])
def test_what_comes_of_null_is_null(source: str) -> None:
    """And of nothing else."""
    given = f"time('2026-01-01') + seconds({NOTHING})" if source in TIMES else NOTHING
    assert [value is None for value in column(source.format(given), rows=3, n="row")] == [False, True, False]


@pytest.mark.parametrize("source", MISTAKES)
def test_a_wrong_argument_is_said(source: str) -> None:
    """Before anything is loaded, in one sentence."""
    with pytest.raises(WorldError, match=re.escape(MISTAKES[source])):
        column(source, n="row", c="'c'")


@pytest.mark.parametrize("source", ["permute()", "tally(things.n)", "ref(parts)"])
def test_row_numbers_with_gaps_are_refused_where_they_would_be_taken_for_others(source: str) -> None:
    """Rows `per` another relation's row are not numbered one after the other."""
    made = world(
        Relation("things", {"n": "row"}, rows=5), Relation("parts", {"x": source}, per="things", count="n", most=4)
    )
    with pytest.raises(WorldError, match="is for relations with `rows`; 'parts' is `per` 'things'"):
        made.chunk("parts", 0).column("x")


def test_what_is_no_row_here_is_tallied_nowhere() -> None:
    """Null, numbers below 0 and beyond the last row."""
    made = world(
        Relation("shelves", {"n": "tally(things.at)", "sum": "tally(things.at, things.n)"}, rows=3),
        Relation("things", {"at": "None if row == 1 else row - 2", "n": "row"}, rows=7),
    )
    (shelves,) = made.iterate("shelves")
    assert shelves.column("n").pylist() == [1, 1, 1]
    assert shelves.column("sum").pylist() == [2, 3, 4]


def test_every_function_says_how_it_is_called() -> None:
    """The reference of the language is made of these lines."""
    for name, function in FUNCTIONS.items():
        said = (function.__doc__ or "").splitlines()[0]
        assert re.fullmatch(rf"{name}\(.*\).*: .+\.", said), said


def test_draws_keep_to_their_range_and_differ_by_place() -> None:
    """Two draws of one expression, of two columns, of two seeds have nothing to do with each other."""
    drawn = column("number(-3, 3)", rows=1000)
    assert set(drawn) == set(range(-3, 4))
    assert drawn == column("number(-3, 3)", rows=1000)
    assert column("number(0, 999) == number(0, 999)", rows=1000).count(True) < 20
    assert column("n == number(0, 999)", rows=1000, n="number(0, 999)").count(True) < 20


def test_choices_come_as_often_as_their_weights_say() -> None:
    """About so with choose and chance, exactly so in every deck with deal."""
    assert 2700 < column("choose({'a': 7, 'b': 3})", rows=4000).count("a") < 2900
    assert 900 < column("chance(0.25)", rows=4000).count(True) < 1100
    assert column("chance(0)", rows=100).count(True) == 0
    assert column("chance(1)", rows=100).count(True) == 100
    dealt = column("deal({'a': 7, 'b': 3})", rows=40)
    assert [dealt[at : at + 10].count("a") for at in range(0, 40, 10)] == [7] * 4
    assert set(column("word('colours', skew=2)", rows=200)) == set(WORDS["colours"])


def test_random_texts_have_their_form() -> None:
    """Hexadecimal digits, UUIDs."""
    assert all(re.fullmatch("[0-9a-f]{7}", text) for text in column("hex(7)", rows=50))
    assert len({uuid.UUID(text) for text in column("uuid()", rows=50)}) == 50


def test_moments_grow_with_the_row_within_their_span() -> None:
    """The order of rows is the order of time, however many rows there are."""
    for rows in (1, 7, 400):
        moments = column("moment('2025-01-01', '2026-01-01')", rows=rows)
        assert moments == sorted(moments)
        years = {(dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=m)).year for m in moments}
        assert years == {2025}


def test_relations_look_at_one_another() -> None:
    """Totals and lists of what is below, values and tallies of what is beside."""
    made = shop()
    (orders,), (items,), (customers,) = ([*made.iterate(name)] for name in ("orders", "items", "customers"))
    amounts: Counter[int] = Counter()
    for order, amount in zip(items.parent_index.tolist(), items.column("amount").pylist(), strict=True):
        amounts[order] += amount
    assert orders.column("amount").pylist() == [amounts[row] for row in range(400)]
    assert orders.column("items").pylist() == [len(json.loads(lines)) for lines in orders.column("lines").pylist()]
    assert {0, 1, 2, 3} == set(orders.column("items").pylist())
    spent, count = Counter[int](), Counter[int]()
    for customer, amount in zip(orders.column("customer").pylist(), orders.column("amount").pylist(), strict=True):
        spent[customer] += amount
        count[customer] += 1
    assert customers.column("spent").pylist() == [spent[row] for row in range(50)]
    assert customers.column("count").pylist() == [count[row] for row in range(50)]
    assert customers.column("spent").scale == 2
    assert orders.column("name").pylist() == [f"c{row}" for row in orders.column("customer").pylist()]
    assert sorted(orders.column("shuffled").pylist()) == list(range(400))
    assert max(count.values()) > 3 * 400 / 50

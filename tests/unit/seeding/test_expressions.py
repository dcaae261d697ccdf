"""The language of datasets: what it says of columns, and what it says of mistakes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envctl.seeding.spec import Relation
from envctl.seeding.world import WorldError
from tests.unit.seeding.tiny import column, world

MEANT = {
    "row + 1": [1, 2, 3],
    "-row": [0, -1, -2],
    "(row + 1) * 10 // 3 % 4": [3, 2, 2],
    "7 - row": [7, 6, 5],
    "row if row > 1 else -1": [-1, -1, 2],
    "None if row == 1 else row": [0, None, 2],
    "row >= 1 and not row == 2": [False, True, False],
    "row == 0 or row == 2": [True, False, True],
    "row in [0, 2]": [True, False, True],
    "row not in [0, 2]": [False, True, False],
    "'a' in ['a', 'b']": [True, True, True],
    "(None if row == 1 else row) in [0, 1]": [True, False, False],
    "(None if row == 1 else row) not in [0, 1]": [False, False, True],
    "(None if row == 1 else row) is None": [False, True, False],
    "(None if row == 1 else row) is not None": [True, False, True],
    "(None if row == 1 else row) + 1": [1, None, 3],
    "(None if row == 1 else row) >= 0": [True, False, True],
    "f'no. {row:03}'": ["no. 000", "no. 001", "no. 002"],
    "f'{row}{True}-{None}'": ["0true-", "1true-", "2true-"],
    "f'plain'": ["plain"] * 3,
    "'ß' == f'ß'": [True] * 3,
    "decimal(row, 2) + decimal(50, 2)": [50, 51, 52],
    "-decimal(row, 2)": [0, -1, -2],
    "decimal(250, 2) > 2": [True] * 3,
    "decimal(250, 2) == decimal(2500, 3)": [True] * 3,
    "time('2026-01-01') - time('2025-12-31') == days(1)": [True] * 3,
    "date(time('2026-01-01T23:59') + minutes(row))": [20454, 20455, 20455],
}
MISTAKES = {
    "row +": "is no expression",
    "row ** 2": "the operators are + - * // %",
    "1.5": "no whole number",
    "[row]": "is not in the language",
    "row.real": "only `parent.column` may stand here",
    "parent.id": "has no parent",
    "__import__('os')": "no function is named '__import__'",
    "numbr(1, 2)": "did you mean 'number'?",
    "number(1, 2, 3, 4)": "too much: 4",
    "number(1)": "high is missing",
    "number(row, 2)": "must be a constant",
    "number(low=1, high='x')": "must be a constant int; found 'x'",
    "json(**row)": "** is not in the language",
    "0 < row < 2": "compare two things at a time",
    "row is row": "`is` goes with None alone",
    "row in row": "must be a constant",
    "row in []": "`in` wants a list",
    "row + 'a'": "f-string",
    "row // 0": "// by zero",
    "row == 'a'": "int cannot be compared with text",
    "time('2026-01-01') > row": "time cannot be compared with int",
    "row and True": "int stands where true or false must",
    "1 if row == 0 else 'a'": "one side of `if` is int, the other text",
    "decimal(1, 2) + decimal(1, 3)": "give both the same",
    "f'{row:>3}'": "only zeros and a width",
    "nothing": "has no column 'nothing'; known: row, wanted",
    "wanted": "is defined by itself",
}


@pytest.mark.parametrize("source", MEANT)
def test_an_expression_means(source: str) -> None:
    """Python's meaning, on whole columns; what is null stays null, and is never true."""
    assert column(source, rows=3) == MEANT[source]


@pytest.mark.parametrize("source", MISTAKES)
def test_a_mistake_is_said_in_one_sentence(source: str) -> None:
    """With the relation and the column; no traceback of ours, nothing of Python is run."""
    with pytest.raises(WorldError) as caught:
        column(source)
    assert MISTAKES[source] in str(caught.value)
    assert str(caught.value).startswith("things.wanted: ")


@given(left=st.integers(-(2**31), 2**31), right=st.integers(-(2**31), 2**31).filter(bool))
def test_whole_numbers_are_pythons(left: int, right: int) -> None:
    """Division and remainder round down, also below zero."""
    for sign, wanted in (("+", left + right), ("*", left * right), ("//", left // right), ("%", left % right)):
        assert column(f"({left}) {sign} ({right})", rows=1) == [wanted]


def test_each_side_of_an_if_draws_the_same_whether_it_is_made_for_all_rows_or_for_some() -> None:
    """Texts are made for the rows of their side alone; that must not move a random stream."""
    side = "json(n=number(1, 1000000), c=choose(['a', 'b']), p=n)"
    every = column(side, rows=40, n="number(1, 9)")
    some = column(f"{side} if row % 3 == 0 else None", rows=40, n="number(1, 9)")
    assert some == [value if row % 3 == 0 else None for row, value in enumerate(every)]


def test_an_if_may_have_no_row_on_one_side() -> None:
    """Neither side needs rows to be of its kind."""
    assert column("f'{row}' if row >= 0 else f'{row}!'", rows=2) == ["0", "1"]
    assert column("f'{row}' if row < 0 else None", rows=2) == [None, None]


def test_one_place_may_have_two_expressions() -> None:
    """Two rules for one relation give their places the same name."""
    chunk = world(Relation("things", {}, rows=1)).chunk("things", 0)
    assert [chunk.expression("key", source).pylist() for source in ("'a'", "'b'")] == [["a"], ["b"]]

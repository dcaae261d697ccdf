"""Expressions, tried on the first rows: what is wrong is said where it is, once, and nothing that is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.seeding.spec.conftest import Problems, Read

FRAME = """\
generate:
  customers: {rows: 50, columns: {id: row + 1, name: "f'c{id}'", place: "number(0, 9)"}}
  cities: {rows: 10, columns: {id: row, name: "f'city {row}'"}}
  orders: {rows: 9000000, columns: {customer: ref(customers), placed: 'moment("2025-01-01", "2026-01-01")'}}
  items: {per: orders, count: "number(0, 3)", most: 3, columns: {n: line + 1, price: "decimal(number(1, 9), 2)"}}
  files: {rows: 5, columns: {id: row, etag: fact("etag")}}
  records: {per: files, open: true, columns: {n: line, of: parent.id}}
  tried: EXPRESSION
kafka: {topics: {t: {}}}
minio:
  buckets:
    app:
      objects: {x: {from: files, key: text(id), size: 4096, format: "'csv'", content: records, versions: {1: {n: n}}}}
"""


@pytest.mark.parametrize(
    "expression",
    [
        "at(cities.name, at(customers.place, ref(customers)))",
        "at(cities.name, row % 10)",
        "at(customers.id, number(0, 49))",
        "moment('2025-01-01', '2025-01-02')",
        "permute()",
        "word('w')",
    ],
)
def test_what_is_right_at_full_size_is_right_in_the_trial(read: Read, expression: str) -> None:
    """Row 49 of 50 is there, though only the first ones are made."""
    relation = f'{{rows: 8, columns: {{x: "{expression}"}}}}'
    assert read(f"words: {{w: [a]}}\n{FRAME.replace('EXPRESSION', relation)}")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("row +", "is no expression: invalid syntax"),
        ("lambda: 1", "is not in the language of datasets"),
        ("rwo", "relation 'tried' has no column 'rwo'; known: row, x"),
        ("nmber(1, 2)", "no function is named 'nmber'; did you mean 'number'?"),
        ("number(1)", "number(): high is missing"),
        ("uuid(1)", "uuid(): too much: 1"),
        ("word('nope')", "no word list is named 'nope'; known: none"),
        ("ref(custmers)", "no relation is named 'custmers'"),
        ("at(customers.nme, 1)", "relation 'customers' has no column 'nme'"),
        ("at(customers.name, 50)", "at(): row 50 or 50 is not in customers (0 to 49)"),
        ("at(orders.placed, 1)", "at() goes up to 4,000,000 rows; 'orders' has 9,000,000"),
        ("row + 'a'", "int + text cannot be calculated"),
        ("row and True", "int stands where true or false must"),
        ("parent.id", "relation 'tried' has no parent"),
        ("line", "relation 'tried' has no column 'line'"),
        ("x", "is defined by itself"),
        ("total(items.price)", "'items' is not `per: tried`"),
        ("fact('etag')", "fact(): no objects are made `from` this relation"),
        ("99999999999999999999", "cannot be made: OverflowError"),
        ("1 // 0", "// by zero"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(problems: Problems, expression: str, expected: str) -> None:
    """Syntax, names, kinds, ranges, circles."""
    (only,) = problems(FRAME.replace("EXPRESSION", f'{{rows: 8, columns: {{x: "{expression}"}}}}'))
    assert only.startswith("8: generate.tried.columns.x: ")
    assert expected in only


def test_a_broken_column_is_said_once_whoever_uses_it(problems: Problems) -> None:
    """At its own place, and not at those that need it."""
    found = problems("""\
        generate:
          a: {rows: 3, columns: {x: nope, y: x + 1, z: 'f"{y}"'}}
          b: {per: a, count: 1, most: 1, columns: {p: parent.z, q: "at(a.y, 0)"}}
        kafka: {topics: {t: {from: b, key: p, value: json(q=q)}}}
        """)
    assert found == ["2: generate.a.columns.x: relation 'a' has no column 'nope'; known: row, x, y, z"]


def test_circles_are_said_at_each_of_their_columns(problems: Problems) -> None:
    """Within a row, from relation to relation, and by way of how many rows there are."""
    found = problems("""\
        generate:
          a:
            rows: 3
            columns:
              x: y
              y: x
              looked: at(b.looked, 0)
              added: total(c.added)
          b: {rows: 3, columns: {looked: "at(a.looked, 0)", told: "tally(b.one, b.told)", one: 0}}
          c:
            {per: a, count: rows(c), most: 2, columns: {added: parent.added}}
        kafka: {topics: {t: {from: a, value: text(row)}}}
        """)
    assert {line.partition(": is defined")[0] for line in found} == {
        "5: generate.a.columns.x",
        "6: generate.a.columns.y",
        "7: generate.a.columns.looked",
        "9: generate.b.columns.looked",
        "9: generate.b.columns.told",
        "11: generate.c.count",
    }


def test_a_count_is_tried_like_a_column(problems: Problems) -> None:
    """Its kind, and that it stays below `most`."""
    found = problems("""\
        generate:
          a: {rows: 3, columns: {id: row}}
          b: {per: a, count: text(id), most: 1, columns: {x: parent.id}}
          c: {per: a, count: id + 3, most: 2, columns: {x: parent.id}}
        kafka: {topics: {t: {from: b, value: text(x)}, u: {from: c, value: text(x)}}}
        """)
    assert found == [
        "3: generate.b.count: text stands where a whole number must",
        "4: generate.c.count: is 5 or 3; must be from 0 to 2",
    ]


def test_content_cannot_depend_on_facts_of_its_object(problems: Problems) -> None:
    """The facts are those of the bytes that the content makes."""
    (only,) = problems(FRAME.replace("of: parent.id", "of: parent.etag").replace("  tried: EXPRESSION\n", ""))
    assert only == (
        "6: generate.files.columns.etag: fact(): an object's name and content cannot depend on its own facts"
    )


def test_trying_costs_nothing_at_any_size(read: Read) -> None:
    """A relation with all the rows that there can be is tried as one with few; nothing of it is counted."""
    found = read("""\
        generate:
          a: {rows: 2147483648, columns: {id: row, all: total(b), some: "number(0, 9)"}}
          b: {per: a, count: some, most: 9, columns: {x: "ref(a, skew=3)", y: rows(b)}}
        kafka: {topics: {t: {from: b, value: "json(x=x, y=y)"}}}
        """)
    assert found.relations["a"].rows == 2**31

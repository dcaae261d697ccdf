"""Worlds as users may make them: trees of relations with columns put together by chance, from the whole language.

As a program it reads relations from stdin and prints their digest, as another process makes them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from envctl.seeding import texts
from envctl.seeding.column import contiguous
from envctl.seeding.spec import Relation
from tests.unit.seeding.tiny import world

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import DrawFn

    from envctl.seeding.world import World

# What makes a value of a kind; {kind} stands for another expression of that kind, {=kind} for a name. Nothing grows so
# much that it leaves 64 bits.
MADE = {
    "int": [
        "number(-5, 40)",
        "number(0, 9, skew=3)",
        "choose({1: 2, 7: 1})",
        "deal([1, 2, 3])",
        "pick([3, 1, 4], {int})",
        "{int} + {int}",
        "{int} - {int}",
        "{int} * 3",
        "{int} // 7",
        "{int} % 5",
        "min({int}, {int})",
        "max({int}, {int})",
        "{int} if {bool} else {int}",
        "{int} if {bool} else None",
        "millis({time}) % 1000",
    ],
    "text": [
        "hex(6)",
        "uuid()",
        "word('colours', skew=2)",
        "deal({'x': 2, 'ü': 1})",
        "pick('colours', {int})",
        "text({int})",
        "text({time})",
        "text({decimal})",
        "upper({text})",
        "f'{{{=int}:04}} of {{{=text}}}'",
        "f'{{{=text}}}-{{{=decimal}}}' if {bool} else {text}",
        "{text} if {bool} else None",
    ],
    "bool": [
        "chance(0.4)",
        "{int} < {int}",
        "{decimal} >= {decimal}",
        "{text} == {text}",
        "{text} in ['red', 'x']",
        "{int} in [1, 2]",
        "{int} is None",
        "{bool} and not {bool}",
        "{bool} or {bool}",
    ],
    "time": ["time('2025-01-01') + hours({int})", "{time} + seconds({int})", "max({time}, time('2025-01-02'))"],
    "decimal": ["decimal({int}, 2)", "{decimal} + {decimal}", "{decimal} * 3", "{decimal} if {bool} else None"],
    "json": ["json(a={int}, b={text})", "array({bool}, {json}, {time})", "json(c={decimal}) if {bool} else {json}"],
}
ROOTS = {"int": ["permute()"], "time": ["moment('2025-01-01', '2026-01-01')"]}
"""What stands only in relations with `rows`."""

FIRST = {
    "int": "row",
    "text": "text(row)",
    "bool": "row < 3",
    "time": "time('2025-01-01')",
    "decimal": "decimal(row, 2)",
    "json": "json(row=row)",
}
"""Where nothing else is left to choose."""

KINDS = tuple(MADE)


@st.composite
def trees(draw: DrawFn) -> tuple[Relation, ...]:
    """Some relations, each `per` an earlier one or with rows of its own; then columns that look at other relations."""
    made: list[Relation] = []
    for number in range(draw(st.integers(1, 4))):
        parent = draw(st.sampled_from([None, *(r for r in made if not r.open)]))
        made.append(_relation(draw, f"r{number}", parent, made))
    return tuple(replace(one, columns={**one.columns, **_looking(draw, one, made)}) for one in made)


def _relation(draw: DrawFn, name: str, parent: Relation | None, made: Sequence[Relation]) -> Relation:
    """One relation, with a column of each kind at least: `int0`, `text0` …"""
    known = {kind: [] for kind in KINDS} if parent is None else {kind: [f"parent.{kind}0"] for kind in KINDS}
    known["int"] += ["row"] if parent is None else ["row", "line"]
    templates = {kind: MADE[kind] + (ROOTS.get(kind, []) if parent is None else []) for kind in KINDS}
    templates["int"] = templates["int"] + [f"ref({r.name}, skew=2)" for r in made if not r.per]
    columns: dict[str, str] = {}
    for kind in draw(st.permutations([*KINDS, draw(st.sampled_from(KINDS))])):
        column = f"{kind}{sum(c.startswith(kind) for c in columns)}"
        columns[column] = _expression(draw, kind, templates, known, 2)
        known[kind].append(column)
    if parent is None:
        return Relation(name, columns, rows=draw(st.integers(1, 25)), fixed=draw(st.booleans()))
    if not parent.per and draw(st.integers(0, 3)) == 0:
        return Relation(name, columns, per=parent.name, open=True)
    most = draw(st.integers(1, 4))
    count = f"number(0, {most})" if draw(st.booleans()) else f"(int0 if int0 is not None else 0) % {most + 1}"
    return Relation(name, columns, per=parent.name, count=count, most=most)


def _looking(draw: DrawFn, one: Relation, made: Sequence[Relation]) -> dict[str, str]:
    """Columns that look at other relations, but for what looks at others itself: that could go in a circle."""
    kind = st.sampled_from(KINDS)
    choices = [f"at({r.name}.{draw(kind)}0, ref({r.name}))" for r in made if not r.per]
    for r in made:
        if r.per == one.name and not r.open:
            choices += [f"total({r.name})", f"total({r.name}.int0)", f"total({r.name}.decimal0)"]
            choices += [f"gather({r.name}.{draw(kind)}0)"]
        if not (one.per or r.open):
            choices += [f"tally({r.name}.int0)", f"tally({r.name}.int0, {r.name}.decimal0)"]
        if not r.open:
            choices += [f"rows({r.name}) - row"]
    picked = draw(st.lists(st.sampled_from(choices), max_size=3)) if choices else []
    return {f"looks{number}": source for number, source in enumerate(picked)}


def _expression(
    draw: DrawFn, kind: str, templates: dict[str, list[str]], known: dict[str, list[str]], depth: int
) -> str:
    """An expression of a kind, in brackets."""
    names = known[kind] or [FIRST[kind]]
    source = draw(st.sampled_from([*templates[kind], *names] if depth else names))
    while "{=" in source:
        before, _, rest = source.partition("{=")
        wanted, _, after = rest.partition("}")
        source = before + draw(st.sampled_from(known[wanted] or ["row"])) + after
    for wanted in KINDS:
        while f"{{{wanted}}}" in source:
            source = source.replace(f"{{{wanted}}}", _expression(draw, wanted, templates, known, depth - 1), 1)
    return f"({source.replace('{{', '{').replace('}}', '}')})"


def digest(made: World) -> str:
    """Of the bytes of all values, as the services get them (of open relations: some rows of the first parent's)."""
    found = hashlib.blake2b(digest_size=16)
    for name, relation in made.relations.items():
        for chunk in [made.opened(name, 0, 0, 20)] if relation.open else made.iterate(name):
            for column in relation.columns:
                found.update(contiguous(texts.json_value(chunk.column(column))))
    return found.hexdigest()


def written(tree: Sequence[Relation]) -> list[dict[str, Any]]:
    """Relations as JSON."""
    return [{**asdict(relation), "columns": dict(relation.columns)} for relation in tree]


if __name__ == "__main__":
    json.dump([digest(world(*(Relation(**r) for r in tree))) for tree in json.load(sys.stdin)], sys.stdout)

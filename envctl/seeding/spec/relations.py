"""`words` and `generate`: word lists and relations."""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING, Any

from envctl.config.validation import nearest
from envctl.seeding.spec.draft import text
from envctl.seeding.spec.model import Relation

if TYPE_CHECKING:
    from pathlib import Path

    from envctl.config.validation import Place
    from envctl.seeding.spec.draft import Draft

MOST_ROWS = 2**31
"""Rows of a relation with `rows`: `philox.below` draws from no more."""

MOST_NUMBERS = 2**62
"""Row numbers of a relation `per` another one: the parent's rows times `most`, level by level, in 64 bits."""

_KINDS = {
    "rows": ("a relation with `rows`", (), ("count", "most", "open")),
    "open": ("an open relation", (), ("count", "most", "fixed")),
    "per": ("a relation `per` another one", ("count", "most"), ("fixed",)),
}
"""What a relation is, the keys that it needs then, and those that mean nothing."""

TAKEN = frozenset({"row", "line", "parent"})
"""Names that mean something else in expressions."""


def words(draft: Draft) -> dict[str, tuple[str, ...]]:
    """The word lists by name."""
    found: dict[str, tuple[str, ...]] = {}
    for name, given in draft.part("words").items():
        place = ("words", name)
        if isinstance(given, list):
            found[name] = tuple(word for word in given if word is not None)
        elif given is not None:
            file = draft.file(place, given)
            found[name] = _lines(draft, place, file) if file else ()
    return found


def _lines(draft: Draft, place: Place, file: Path) -> tuple[str, ...]:
    try:
        found = tuple(line.strip() for line in file.read_text("utf-8-sig").splitlines() if line.strip())
    except UnicodeDecodeError as error:
        draft.problem(place, f"is no UTF-8 text (byte {error.start}): {file}")
        return ()
    if not found:
        draft.problem(place, f"has no words: {file}")
    return found


def relations(draft: Draft) -> dict[str, Relation]:
    """The relations by name; what is wrong with one is noted, and it is there all the same."""
    found = {name: _relation(draft, name) for name in draft.part("generate")}
    draft.relations = set(found)
    draft.open_relations = {name for name, relation in found.items() if relation.open}
    for name, relation in found.items():
        _judge_parents(draft, found, name, relation)
    return found


def _relation(draft: Draft, name: str) -> Relation:
    place = ("generate", name)
    part = draft.part(*place)
    columns = {column: text(source) for column, source in draft.part(*place, "columns").items()}
    for column in columns:
        _judge_name(draft, (*place, "columns", column), column)
    _judge_name(draft, place, name)
    _judge_keys(draft, place, part)
    rows = part.get("rows", 0) or 1 if "rows" in part else 0  # where they are wrong, one is enough to try the columns
    scaled = rows if part.get("fixed") or not rows else draft.scaled(rows)
    if scaled > MOST_ROWS:
        what = f"are {scaled} at scale {draft.scale:g}; at most {MOST_ROWS}"
        draft.too_many((*place, "rows"), what, scaled, MOST_ROWS)
    return Relation(
        name,
        columns,
        rows=scaled,
        fixed=bool(part.get("fixed")),
        per=part.get("per") or "",
        count=text(part.get("count")),
        most=part.get("most") or 0,
        open=bool(part.get("open")),
    )


def _judge_name(draft: Draft, place: Place, name: str) -> None:
    if name in TAKEN or keyword.iskeyword(name):
        draft.problem(place, f"{name!r} has a meaning of its own in expressions; choose another name")


def _judge_keys(draft: Draft, place: Place, part: dict[str, Any]) -> None:
    """A relation has `rows`; or is `per` another one, with `count` and `most`, or open."""
    if draft.is_wrong(place):
        return
    if ("rows" in part) == ("per" in part):
        draft.problem(place, "must have either `rows` or `per`")
        return
    kind, needed, foreign = _KINDS["rows" if "rows" in part else "open" if part.get("open") else "per"]
    for key in needed:
        if key not in part:
            draft.problem(place, f"{key!r} is missing: {kind} has {' and '.join(needed)}, or is open")
    for key in foreign:
        if key in part:
            draft.problem((*place, key), f"does not go with {kind}")


def _judge_parents(draft: Draft, found: dict[str, Relation], name: str, relation: Relation) -> None:
    """The way up to the relation with rows: it is there, has an end, and its rows can be numbered."""
    place, seen, numbers = ("generate", name, "per"), [name], max(1, relation.most)
    while relation.per:
        if relation.per not in found:
            if len(seen) == 1:
                hint = nearest(relation.per, sorted(set(found) - {name}))
                draft.problem(place, f"no relation is named {relation.per!r}; {hint}")
            return
        parent = found[relation.per]
        if parent.name in seen:
            draft.problem(place, f"is its own parent: {' -> '.join([*seen, parent.name])}")
            return
        if len(seen) == 1:
            _judge_parent(draft, place, relation, parent)
        seen.append(parent.name)
        relation, numbers = parent, numbers * max(1, parent.most, parent.rows)
    if numbers > MOST_NUMBERS:
        draft.problem(("generate", name, "most"), f"{numbers} row numbers are too many; at most {MOST_NUMBERS}")


def _judge_parent(draft: Draft, place: Place, relation: Relation, parent: Relation) -> None:
    if parent.open:
        draft.problem(place, f"relation {parent.name!r} is open: it has no rows to have others")
    elif relation.open and parent.per:
        draft.problem(place, f"an open relation's parent must have `rows`; {parent.name!r} is `per` another one")

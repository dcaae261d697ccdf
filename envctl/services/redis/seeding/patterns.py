"""Which keys a rule can make, without making them: what tells a dataset's keys from all others.

A dataset owns the keys that its rules' key expressions can give: `customer:*` for `f"customer:{id}"`. As a table is
dropped with the rows that tests added to it, keys under these patterns go with those that tests added.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from envctl.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ANY = "*"
"""Stands for any text in a pattern; a text's own asterisks cannot be mistaken for it, as a pattern is a tuple."""

Pattern = tuple[str | None, ...]
"""Literal texts, and None for what a row says."""

_CHANGES: dict[str, Callable[[str], str]] = {"lower": str.lower, "upper": str.upper, "text": str}


def patterns_of(source: str, columns: Mapping[str, str]) -> tuple[Pattern, ...]:
    """The patterns of a key expression over a relation with these columns.

    Raises:
        ConfigurationError: it may be any text at all: there is no letter or digit in it that every key has.

    """
    found = tuple(
        dict.fromkeys(_merged(parts) for parts in _parts(ast.parse(source.strip(), mode="eval").body, columns))
    )
    for parts in found:
        if not any(character.isalnum() for part in parts for character in part or ""):
            problem = Problem(
                f"key {source!r} says nothing that tells its keys from others; begin it with a text of its own, "
                'such as f"customer:{id}"',
                "redis.keys",
            )
            raise ConfigurationError([problem], "a valid dataset")
    return found


def shown(pattern: Pattern) -> str:
    """The pattern for people, and as the name of what is measured: `customer:*`; a constant key as it is."""
    return "".join(ANY if part is None else part for part in pattern)


def lua(pattern: Pattern) -> str:
    """The pattern in Lua's language, anchored at both ends."""
    return "^" + "".join(".*" if part is None else _escaped(part) for part in pattern) + "$"


def constant(pattern: Pattern) -> bool:
    """Whether it is one key alone."""
    return None not in pattern


def _parts(node: ast.expr, columns: Mapping[str, str]) -> list[Pattern]:
    if isinstance(node, ast.Constant):
        return [(str(node.value),)]
    if isinstance(node, ast.JoinedStr):
        return [tuple(str(part.value) if isinstance(part, ast.Constant) else None for part in node.values)]
    if isinstance(node, ast.IfExp):
        return _parts(node.body, columns) + _parts(node.orelse, columns)
    if isinstance(node, ast.Name) and node.id in columns:
        # Without this column: one that is defined by itself ends here, and is reported when it is made.
        inner = ast.parse(columns[node.id].strip(), mode="eval").body
        return _parts(inner, {name: text for name, text in columns.items() if name != node.id})
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        changed = _CHANGES.get(node.func.id)
        if changed:
            inside = _parts(node.args[0], columns)
            return [tuple(None if part is None else changed(part) for part in parts) for parts in inside]
    return [(None,)]


def _merged(parts: Pattern) -> Pattern:
    """Neighbouring texts, and neighbouring unknowns, as one."""
    merged: list[str | None] = []
    for part in parts:
        if part is None and merged and merged[-1] is None:
            continue
        if part is not None and merged and merged[-1] is not None:
            merged[-1] += part
        else:
            merged.append(part)
    return tuple(merged)


def _escaped(text: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else f"%{c}" if c.isascii() else c for c in text)

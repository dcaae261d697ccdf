"""The JSON Schema at work: what a value must be, read from the one schema file.

The `jsonschema` package would cost 100 ms in every process that finds a configuration file (measured: 0.11 s against
0.01 s for a bare interpreter), two fifths of what `envctl status` may take. The schemas use some fifteen keywords,
which are followed here; tests/unit/test_config_schema.py and tests/unit/seeding/spec/test_schema.py hold this reading
against the `jsonschema` package.
"""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    Place = tuple[str, ...]
    Schema = dict[str, Any]

_LONGEST_SHOWN = 60
_ANY_NAME = {"type": "string"}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def schema(name: str = "envctl") -> Schema:
    """A schema as it ships with the package: of the configuration, or of datasets."""
    path = Path(__file__).parents[1] / "schema" / f"{name}.schema.json"
    loaded: Schema = json.loads(path.read_text("utf-8"))
    return loaded


def linked(rules: Schema) -> Schema:
    """The schema with what each `$ref` names in its place, so that `violations` can walk it; it may contain itself."""
    named: Schema = rules.get("$defs", {})

    def link(node: Any) -> Any:  # noqa: ANN401 - any part of a schema
        if isinstance(node, list):
            return [link(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return named[node["$ref"].removeprefix("#/$defs/")]
        node.update({key: link(value) for key, value in node.items()})
        return node

    linked_rules: Schema = link(rules)
    return linked_rules


def violations(value: object, rules: Schema, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every breach of `rules` in `value`: its place (keys from the top) and what was wanted and found."""
    if not _allowed(value, rules):
        yield place, f"must be {rules['errorMessage']}; found {shown(value)}"
    elif isinstance(value, dict):
        yield from _object_violations(value, rules, place)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from violations(item, rules["items"], (*place, str(number)))


def shown(value: object) -> str:
    """A value as an error quotes it: short, containers by their kind alone."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind}" if value else f"an empty {kind}"
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def nearest(name: str, known: list[str]) -> str:
    """The hint for an unknown key: the nearest one, else all."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"


def _object_violations(value: dict[str, object], rules: Schema, place: Place) -> Iterator[tuple[Place, str]]:
    properties, others = rules.get("properties", {}), rules.get("additionalProperties")
    for key in rules.get("required", ()):
        if key not in value:
            yield place, f"{key!r} is missing: {properties[key]['errorMessage']}"
    for key, item in value.items():
        if not _allowed(key, rules.get("propertyNames", _ANY_NAME)):
            yield (*place, key), f"must be {rules['propertyNames']['errorMessage']}; found {shown(key)}"
        if key in properties:
            yield from violations(item, properties[key], (*place, key))
        elif others:
            yield from violations(item, others, (*place, key))
        else:
            yield (*place, key), f"unknown key; {nearest(key, list(properties))}"


def _allowed(value: object, rules: Schema) -> bool:
    if "enum" in rules:
        return value in rules["enum"]
    wanted = rules["type"]
    kinds = [wanted] if isinstance(wanted, str) else wanted
    if not any(_is(value, kind) for kind in kinds):
        return False
    if isinstance(value, str):
        return _allowed_text(value, rules)
    if isinstance(value, dict | list):
        fewest: int = rules.get("minItems" if isinstance(value, list) else "minProperties", 0)
        return len(value) >= fewest
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _allowed_number(value, rules)
    return True


def _is(value: object, kind: str) -> bool:
    # True is an int to Python, but no number to whoever wrote the file.
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])


def _allowed_text(value: str, rules: Schema) -> bool:
    if not rules.get("minLength", 0) <= len(value) <= rules.get("maxLength", len(value)):
        return False
    # `$` also matches before a line's end, which no pattern here means.
    return "pattern" not in rules or ("\n" not in value and re.search(rules["pattern"], value) is not None)


def _allowed_number(value: float, rules: Schema) -> bool:
    # Written so that NaN, which YAML and TOML can say, fails each comparison that is there.
    above: float = rules.get("exclusiveMinimum", float("-inf"))
    least: float = rules.get("minimum", value)
    most: float = rules.get("maximum", value)
    return above < value and least <= value <= most

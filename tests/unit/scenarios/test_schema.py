"""The schema of scenarios: valid itself, read by us as by the `jsonschema` package, described to the last word."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from envctl.config.validation import linked, schema, violations
from envctl.scenarios.building import KINDS
from envctl.scenarios.steps import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

    JSON = Any
    Path = tuple[Any, ...]

WHOLE: dict[str, Any] = {
    "name": "all",
    "description": "All there is.",
    "profile": "core",
    "services": ["postgres"],
    "seed": 1,
    "duration": "5m",
    "prepare": [{"python": "a.py:b", "with": {"x": 1, "y": [1], "z": {"a": True}}, "within": 3}],
    "probes": {
        "sql": {"sql": "SELECT 1", "expect": {"equals": 1, "tolerance": 0.5}, "timeout": "1s", "max_seconds": 0.5},
        "redis": {"redis": ["GET", "a", 1], "expect": {"equals": "x"}, "roles": ["before", "during", "after"]},
        "http": {"http": "http://{minio}/x", "expect": {"status": 200, "matches": "a"}},
        "lag": {"topic-lag": {"group": "g", "topic": "t"}, "expect": {"at_most": 1, "at_least": 0}},
        "object": {"object": {"bucket": "app", "key": "k"}, "expect": {"exists": True, "sha256": "0" * 64}},
        "command": {"command": "true", "expect": {"exit_code": 0, "more_than": 0, "less_than": 9}},
        "python": {"python": "a:b", "with": {"x": "y"}, "roles": ["during"], "every": "1s", "tolerate": 3},
    },
    "steps": [
        {"fault": "pause", "service": "redis", "with": {"a": 1}, "for": "1s", "while": [{"wait": 1}]},
        {"parallel": [{"wait": "1s"}], "when": {"probe": "sql", "within": "3s"}},
        {"serial": [{"until": {"redis": "PING", "expect": {"equals": "PONG"}, "timeout": 1}}]},
        {"random": {"faults": [{"fault": "pause", "service": "redis"}], "count": 2, "between": "1s..3s"}},
        {"run": {"command": ["a"], "within": 1}, "background": "stop"},
        {"repeat": 2, "steps": [{"wait": 1}]},
    ],
    "abort_when": [{"probe": "sql", "fails": 3}],
    "recovery": {"within": "20s", "services": ["redis"], "probes": ["sql"]},
    "cleanup": [{"command": "true"}],
}
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**33, 0.25, "", "a", "no good", "1s", "0s", "-1s", "1 s", "1s..2s", "a.py:b",
    "x" * 300, "http://x", [], ["a"], [1], [[]], [{}], {}, {"a": "a"}, {"a": {}}, {"a b": 1}, {"wait": 1},
    [{"wait": "1s"}],
]  # fmt: skip


def places(value: JSON, path: Path = ()) -> Iterator[Path]:
    """Every place in a document."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def properties(rules: JSON) -> Iterator[dict[str, Any]]:
    """The rules of every key that the schema names."""
    for key, value in rules.items() if isinstance(rules, dict) else ():
        if key == "properties":
            yield from value.values()
        yield from properties(value)


def test_the_schema_is_a_valid_one_with_a_description_for_every_key() -> None:
    """Editors show the descriptions."""
    rules = schema("scenario")
    jsonschema.Draft202012Validator.check_schema(rules)
    assert all(rules["description"].endswith((".", "well.")) for rules in properties(rules))


def test_the_schema_and_the_reader_know_the_same_words() -> None:
    """A word that exists in one of them only would be silently ignored."""
    rules = schema("scenario")["$defs"]
    beside = {"service", "with", "for", "while", "background", "steps", "when"}
    assert set(rules["step"]["properties"]) == {*VERBS, *beside}
    assert set(KINDS) <= set(rules["probe"]["properties"]) & set(rules["condition"]["properties"])


def test_a_document_with_every_key_is_right_to_both() -> None:
    """No rule is broken."""
    assert list(violations(WHOLE, linked(schema("scenario")))) == []
    assert jsonschema.Draft202012Validator(schema("scenario")).is_valid(WHOLE)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(places(WHOLE), key=str)), st.sampled_from(VALUES), st.sampled_from(["set", "add", "del"]))
def test_both_readings_of_the_schema_agree(path: Path, value: JSON, how: str) -> None:
    """Whatever stands wherever: accepted by one if and only if by the other."""
    document = copy.deepcopy(WHOLE)
    above: JSON = document
    for key in path[:-1]:
        above = above[key]
    if how == "del":
        del above[path[-1]]
    elif how == "add" and isinstance(above, dict):
        above["un known"] = value
    else:
        above[path[-1]] = value
    ours = not list(violations(document, linked(schema("scenario"))))
    assert ours == jsonschema.Draft202012Validator(schema("scenario")).is_valid(document)

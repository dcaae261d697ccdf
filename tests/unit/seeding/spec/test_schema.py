"""The schema of datasets: valid itself, read by us as by the `jsonschema` package, and as large as what we read."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from envctl.config.validation import linked, schema, violations

if TYPE_CHECKING:
    from collections.abc import Iterator

    JSON = Any
    Path = tuple[Any, ...]

WHOLE: dict[str, Any] = {
    "description": "All there is.",
    "extends": "small",
    "abstract": False,
    "seed": 1,
    "words": {"a": ["x"], "b": "b.txt"},
    "generate": {
        "files": {"rows": 3, "fixed": True, "columns": {"id": "row + 1", "one": 1, "half": 0.5, "yes": True}},
        "lines": {"per": "files", "count": "id", "most": 3, "columns": {"n": "line"}},
        "records": {"per": "files", "open": True, "columns": {"n": "line"}},
    },
    "postgres": {
        "sql": "a.sql",
        "tables": {
            "files": "files",
            "app.lines": {"from": "lines", "columns": ["n"]},
            "more": {"from": "lines", "columns": {"m": "n"}},
            "prices": {"csv": "p.csv"},
            "logs": {"jsonl": "l.jsonl"},
            "facts": {"parquet": "f.parquet"},
        },
        "after": ["b.sql", "c.sql"],
    },
    "kafka": {
        "topics": {
            "t": {
                "partitions": 3,
                "config": {"cleanup.policy": "compact", "retention.ms": 1, "preallocate": True},
                "from": "lines",
                "key": "n",
                "value": "n",
                "headers": {"h": "n"},
                "timestamp": "n",
                "partition": 0,
            },
            "u": {"jsonl": "u.jsonl"},
        }
    },
    "redis": {
        "keys": {
            "a": {"from": "files", "key": "id", "string": "id", "ttl": "30d", "when": True},
            "b": {"from": "files", "key": "id", "hash": {"f": "id"}, "ttl": 30},
            "c": {"from": "files", "key": "id", "zset": {"member": "id", "score": 1}},
            "d": {"from": "files", "key": "id", "stream": {"id": "id", "fields": {"f": "id"}}},
            "e": {"from": "files", "key": "id", "set": "id", "list": "id"},
        },
        "commands": {"mine": "m.redis"},
    },
    "minio": {
        "buckets": {
            "app": {
                "folders": ["files/", {"path": "more/", "prefix": "in/"}],
                "objects": [
                    {
                        "from": "files",
                        "key": "id",
                        "size": "1.5 MB",
                        "format": "'csv'",
                        "content": "records",
                        "version": 1,
                        "versions": {"1": {"a": "n", "b": {"c": {"d": "n"}}}},
                        "content_of": "row",
                        "defect": "'none'",
                    }
                ],
            },
            "two": {"folders": "files/", "objects": {"x": {"size": 4096}}},
        }
    },
    "spark": {"sql": {"v": "v.sql"}, "clear": ["d.sql"]},
    "python": ["f.py:load"],
}
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31 + 1, 0.25, "", "a", "no good", "A.b", "a.b.c", "1MB", "1 XB", "30d", "soon",
    "f.py:load", "x" * 300, [], ["a"], [1], [[]], [{}], {}, {"a": "a"}, {"a": {}}, {"a b": 1}, {"from": "a"},
]  # fmt: skip


def places(value: JSON, path: Path = ()) -> Iterator[Path]:
    """Every place in a document."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def test_the_schema_is_a_valid_one_with_a_description_for_every_key() -> None:
    """Editors show the descriptions."""
    rules = schema("dataset")
    jsonschema.Draft202012Validator.check_schema(rules)
    assert all(rules["description"] for rules in properties(rules))


def test_a_document_with_every_key_is_nearly_right_to_both() -> None:
    """Only the rule that says nothing but its size is not."""
    found = list(violations(WHOLE, linked(schema("dataset"))))
    assert {place for place, _ in found} == {("minio", "buckets", "two", "objects", "x")}
    theirs = jsonschema.Draft202012Validator(schema("dataset")).iter_errors(WHOLE)
    assert {tuple(error.absolute_path) for error in theirs} == {("minio", "buckets", "two", "objects", "x")}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(places(WHOLE), key=str)), st.sampled_from(VALUES), st.sampled_from(["set", "add", "del"]))
def test_both_readings_of_the_schema_agree(path: Path, value: JSON, how: str) -> None:
    """Whatever stands wherever: accepted by one if and only if by the other."""
    document = copy.deepcopy(WHOLE)
    del document["minio"]["buckets"]["two"]["objects"]
    try:
        change(document, path, value, how)
    except (KeyError, IndexError):
        return
    ours = not list(violations(document, linked(schema("dataset"))))
    assert ours == jsonschema.Draft202012Validator(schema("dataset")).is_valid(document)


def change(document: JSON, path: Path, value: JSON, how: str) -> None:
    """Set a place to a value, take it out, or put an unknown key beside it."""
    for key in path[:-1]:
        document = document[key]
    if how == "del":
        del document[path[-1]]
    elif how == "add" and isinstance(document, dict):
        document["un known"] = value
    else:
        document[path[-1]] = value


def properties(rules: JSON) -> Iterator[dict[str, Any]]:
    """The rules of every key that the schema names."""
    for key, value in rules.items() if isinstance(rules, dict) else ():
        if key == "properties":
            yield from value.values()
        yield from properties(value)

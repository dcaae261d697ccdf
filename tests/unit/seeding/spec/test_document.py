"""docs/datasets.md against the code: its examples load, its tables are whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from envctl.config.validation import schema
from envctl.seeding.spec import load
from envctl.seeding.vocabulary import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    Rules = dict[str, Any]

TEXT = (Path(__file__).parents[4] / "docs" / "datasets.md").read_text()
EXAMPLES = [text for text in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL) if not text.startswith("#")]
PLACES = {"words": "NAME", "generate": "REL", "tables": "TABLE", "topics": "TOPIC", "buckets": "BUCKET"}
OPEN = {"extends", "columns", "config", "headers", "hash", "zset", "stream", "versions"}
"""Keys whose own keys the table tells in words."""


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_dataset(tmp_path: Path, example: str) -> None:
    """With the files that it names beside it."""
    (tmp_path / "schema.sql").write_text("SELECT 1;")
    (tmp_path / "prices.csv").write_text("sku,price\nA-1,12.50\n")
    (tmp_path / "audit.jsonl").write_text(re.findall(r'```\n({"key".*?)```', TEXT, re.DOTALL)[0])
    (tmp_path / "mine.yaml").write_text(example)
    assert load(str(tmp_path / "mine.yaml"))


def test_every_function_is_listed() -> None:
    """And none that does not exist, nor any twice."""
    section = TEXT.partition("## 7 Functions")[2].partition("## 8")[0]
    assert re.findall(r"^\| `(\w+)\(", section, re.MULTILINE) == list(FUNCTIONS)


def test_every_key_of_the_schema_is_listed() -> None:
    """By the place where it stands."""
    section = TEXT.partition("## 5 Keys")[2].partition("## 6")[0]
    listed = re.findall(r"^\| `([\w.*]+)` \|", section, re.MULTILINE)
    wanted = set(keys(schema("dataset")))
    parents = {"kafka.topics.TOPIC", "postgres.tables.TABLE"}
    assert set(listed) - parents == wanted
    assert len(listed) == len(set(listed))


def keys(rules: Rules, place: str = "", name: str = "") -> Iterator[str]:
    """Every key that holds a value, as the table writes it."""
    rules = schema("dataset")["$defs"][rules["$ref"].rpartition("/")[2]] if "$ref" in rules else rules
    kinds, below = rules.get("type", ""), rules.get("properties", {})
    if below and name not in OPEN:
        if "array" in kinds:
            yield place
        for key, child in below.items():
            yield from keys(child, f"{place}.{key}".lstrip("."), key)
    elif "additionalProperties" in rules and name in PLACES:
        yield from keys(rules["additionalProperties"], f"{place}.{PLACES[name]}")
    elif name in {"keys", "objects"}:
        yield place
        yield from keys(rules["items"], f"{place}.*")
    else:
        yield place

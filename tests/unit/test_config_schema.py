"""The schema's own reading of its keywords, held against the `jsonschema` package."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import jsonschema
import pytest

from envctl.config.settings import Settings
from envctl.config.validation import schema, violations

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 65535, 65536, 0.5, 1e12, "", "a", "core", "Core", "x" * 64, "90s", "1h30m",
    "-5", "1 h", "prefer", "auto", "registry", "mirror.example:5000/hub", "https://mirror", "mirror/", "a b",
    [], ["core"], [1], [""], [[]], {}, {"redis": {}}, {"redis": None}, {"redis": {"port": 1, "image": "x"}},
    {"redis": {"port": "1"}}, {"redis": {"prot": 1}}, {"redis": {"options": {"a": 1, "b": True, "c": "x"}}},
    {"redis": {"options": {"a": []}}}, {"redis": {"image": "a b"}}, {"redis": {"options": []}},
]  # fmt: skip


@pytest.mark.parametrize("key", [*schema()["properties"], "unknown"])
def test_both_readings_of_the_schema_agree(key: str) -> None:
    """For every key and a list of right and wrong values: accepted by one if and only if by the other."""
    judge = jsonschema.Draft202012Validator(schema())
    ours = {str(value): not list(violations({key: value}, schema())) for value in VALUES}
    theirs = {str(value): judge.is_valid({key: value}) for value in VALUES}
    assert ours == theirs


def test_the_schema_is_a_valid_one_with_a_description_for_every_key() -> None:
    """Editors show the descriptions."""
    jsonschema.Draft202012Validator.check_schema(schema())
    assert all(rules["description"] for rules in schema()["properties"].values())


def test_the_schema_and_the_settings_know_the_same_keys() -> None:
    """A key that exists in one of them only would be silently ignored."""
    fields = set(Settings.__dataclass_fields__) - {"services", "overrides", "seeds"}
    assert fields == set(schema()["properties"]) - {"services"}


def test_without_a_file_no_reader_of_files_is_imported() -> None:
    """Importing and loading stays cheap: yaml, tomllib and jsonschema are not touched."""
    code = (
        "import sys, pathlib; from envctl.config import load;"
        "load({'timeout': '5s'}, cwd=pathlib.Path('/'), environ={'ENVCTL_TTL': '2h'});"
        "print(sorted({'yaml', 'tomllib', 'jsonschema', 'rich', 'docker'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"

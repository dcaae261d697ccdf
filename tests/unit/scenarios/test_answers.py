"""What is as expected, and what is told where it is not."""

from __future__ import annotations

from typing import Any

import pytest

from envctl.scenarios.answers import Reply, problem


@pytest.mark.parametrize(
    ("kind", "value", "facts", "expect", "told"),
    [
        ("sql", 3, {}, {"equals": 3}, ""),
        ("sql", 3, {}, {"equals": 3.0}, ""),
        ("sql", "3", {}, {"equals": 3}, ""),
        ("sql", 4, {}, {"equals": 3}, "4 instead of 3"),
        ("sql", 4, {}, {"equals": 3, "tolerance": 1}, ""),
        ("sql", 5, {}, {"equals": 3, "tolerance": 1}, "5 instead of 3 ± 1"),
        ("sql", None, {}, {"equals": 3}, "nothing instead of 3"),
        ("sql", None, {}, {}, ""),
        ("sql", True, {}, {"equals": True}, ""),
        ("sql", 5, {}, {"at_least": 5, "at_most": 5}, ""),
        ("sql", 5, {}, {"more_than": 5}, "5 instead of more than 5"),
        ("sql", 5, {}, {"less_than": 5}, "5 instead of less than 5"),
        ("sql", "x", {}, {"at_most": 5}, "x instead of at most 5"),
        ("sql", float("nan"), {}, {"at_most": 5}, "nan instead of at most 5"),
        ("redis", b"PONG", {}, {"equals": "PONG"}, ""),
        ("redis", "two\nlines", {}, {"matches": "lines$"}, ""),
        ("redis", "x" * 300, {}, {"matches": "y"}, "… does not match 'y'"),
        ("http", "", {"status": 204}, {}, ""),
        ("http", "oh no", {"status": 503}, {}, "status 503: oh no"),
        ("http", "", {"status": 503}, {"status": 503}, ""),
        ("http", "", {"status": 200}, {"status": 503}, "status 200 instead of 503"),
        ("command", "out", {"exit_code": 0}, {}, ""),
        ("command", "out", {"exit_code": 2}, {}, "exit code 2 instead of 0: out"),
        ("command", "out", {"exit_code": 2}, {"exit_code": 2}, ""),
        ("object", 10, {"exists": True}, {"equals": 10}, ""),
        ("object", None, {"exists": False}, {}, "it is not there"),
        ("object", None, {"exists": False}, {"exists": False}, ""),
        ("object", 10, {"exists": True}, {"exists": False}, "it is there: 10"),
        ("object", 1, {"exists": True, "sha256": "a"}, {"sha256": "b"}, "sha256 a instead of b: 1"),
        ("python", False, {}, {}, "it said False"),
        ("python", False, {}, {"equals": False}, ""),
        ("python", None, {}, {}, ""),
    ],
)
def test_an_answer_is_held_against_what_is_expected(
    kind: str,
    value: object,
    facts: dict[str, Any],
    expect: dict[str, Any],
    told: str,
) -> None:
    """Numbers as numbers, text as text, and each kind's own facts."""
    found = problem(kind, Reply(value, facts), expect)
    assert found == told or (told.startswith("…") and found.endswith(told))

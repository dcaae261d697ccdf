"""What was removed, in words."""

from __future__ import annotations

import pytest

from envctl.services.postgres.seeding.clearing import counted


@pytest.mark.parametrize(
    ("count", "thing", "expected"),
    [
        (1, "index", "1 index"),
        (6, "index", "6 indexes"),
        (9, "table", "9 tables"),
        (2, "policy", "2 policies"),
        (2, "operator class", "2 operator classes"),
    ],
)
def test_things_are_counted_in_english(count: int, thing: str, expected: str) -> None:
    """Whatever kinds of objects PostgreSQL has names for."""
    assert counted(count, thing) == expected

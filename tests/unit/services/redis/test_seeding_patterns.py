"""What a key expression says of its keys."""

from __future__ import annotations

import pytest

from envctl.errors import ConfigurationError
from envctl.services.redis.seeding.patterns import constant, lua, patterns_of, shown

COLUMNS = {
    "cache_key": 'f"product:{sku}"',
    "sku": "hex(8)",
    "circle": "circle",
    "either": '"left" if chance(0.5) else "right"',
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'bestsellers'", ["bestsellers"]),
        ('f"customer:{id}"', ["customer:*"]),
        ('f"{id}:{line}:cart"', ["*:*:cart"]),
        ('f"a{x}{y}"', ["a*"]),
        ("cache_key", ["product:*"]),
        ('lower(f"Category:{name}")', ["category:*"]),
        ('upper("a")', ["A"]),
        ('f"a:{x}" if y else f"b:{x}"', ["a:*", "b:*"]),
        ("either", ["left", "right"]),
    ],
)
def test_a_key_expression_gives_patterns(expression: str, expected: list[str]) -> None:
    """Its literal texts, and anything for what rows say."""
    assert [shown(pattern) for pattern in patterns_of(expression, COLUMNS)] == expected


@pytest.mark.parametrize("expression", ["sku", 'f"{a}{b}"', 'f"{a}:{b}"', "circle", 'json(a="b")'])
def test_a_key_that_may_be_anything_is_refused(expression: str) -> None:
    """It could not be told from what others put into Redis."""
    with pytest.raises(ConfigurationError, match="begin it with a text of its own"):
        patterns_of(expression, COLUMNS)


def test_a_pattern_is_a_pattern_of_luas_with_all_signs_escaped() -> None:
    """An asterisk in the text is one, and means nothing."""
    assert lua(("a*b.c-", None, "ü]")) == "^a%*b%.c%-.*ü%]$"


def test_a_pattern_without_anything_unknown_is_one_key() -> None:
    """Also where the key has an asterisk."""
    assert constant(("a*",))
    assert not constant(("a", None))

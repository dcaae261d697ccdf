"""Scales that are too large for a dataset: told with one that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.errors import ConfigurationError

if TYPE_CHECKING:
    from tests.unit.seeding.spec.conftest import Read


@pytest.mark.parametrize(
    ("text", "at", "fits"),
    [
        ("a: {rows: 300, columns: {id: row, n: tally(b.a)}}, b: {rows: 9, columns: {a: 'ref(a)'}}", "n", "13000"),
        ("a: {rows: 3000, columns: {id: row}}, b: {rows: 9, columns: {n: 'at(a.id, 1)'}}", "n", "1300"),
    ],
)
def test_a_scale_that_a_function_cannot_follow_is_told_with_one_that_fits(
    read: Read, text: str, at: str, fits: str
) -> None:
    """Nothing is wrong with the file."""
    filled = f"generate: {{{text}}}\nredis: {{keys: [{{from: b, key: text(row), string: text(row)}}]}}"
    with pytest.raises(
        ConfigurationError, match=rf"columns\.{at}: \w+\(\) goes up to 4,000,000 rows; 'a' has .* at scale"
    ) as caught:
        read(filled, 20_000.0)
    assert f"--scale {fits} fits" in caught.value.advice
    read(filled, float(fits))


def test_a_broken_file_is_to_be_mended_whatever_the_scale(read: Read) -> None:
    """A smaller one would not help."""
    with pytest.raises(ConfigurationError) as caught:
        read("generate: {a: {rows: 3000000000, columns: {id: row}, per: b}}", 2.0)
    assert "mend" in caught.value.advice

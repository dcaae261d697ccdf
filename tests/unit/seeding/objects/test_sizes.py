"""Every object has exactly the bytes that were asked for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envctl.seeding.objects import Defect
from envctl.seeding.objects.parquet import _padding
from envctl.seeding.objects.thrift import varint
from envctl.seeding.world import WorldError
from tests.unit.seeding.objects.sample import FORMATS, VERSIONS, bodies, made, smallest

KINDS = st.sampled_from(FORMATS)
SHAPES = st.sampled_from(["plain", "numbers", "all", "nested", "one"])
FLAWS = st.sampled_from(["none", "corrupt", "truncated"])


@settings(max_examples=150, deadline=None)
@given(kind=KINDS, version=SHAPES, defect=FLAWS, above=st.integers(0, 6000), parent=st.integers(0, 19))
def test_any_size_from_the_smallest_on_is_met(kind: str, version: str, defect: str, above: int, parent: int) -> None:
    """Sound, corrupt and cut objects alike."""
    size = smallest(kind, version, defect, parent) + above
    assert len(made(size, kind, version, defect, parent)[0]) == size


@settings(max_examples=40, deadline=None)
@given(kind=KINDS, version=SHAPES.filter(lambda v: v != "numbers"), above=st.integers(0, 6000))
def test_objects_in_the_wrong_encoding_have_any_size_too(kind: str, version: str, above: int) -> None:
    """An odd one as well, though UTF-16 has units of two bytes."""
    size = smallest(kind, version, "encoding") + above
    assert len(made(size, kind, version, "encoding")[0]) == size


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [3_000_000, 9_500_001])
def test_objects_of_several_pieces_have_their_size(kind: str, size: int) -> None:
    """Several row groups as well."""
    assert len(made(size, kind)[0]) == size


@pytest.mark.parametrize("kind", FORMATS)
def test_empty_objects_have_no_bytes(kind: str) -> None:
    """Whatever size the rule gives."""
    objects = bodies(5000, kind, defect="empty")
    entry = next(objects.entries())
    assert (entry.size, list(objects.stream(entry))) == (0, [])


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("version", sorted(VERSIONS.keys() - {"narrow"}))
@pytest.mark.parametrize("defect", [Defect.NONE, Defect.CORRUPT, Defect.TRUNCATED])
def test_a_size_below_the_smallest_is_refused_before_anything_is_made(kind: str, version: str, defect: Defect) -> None:
    """The error says how many bytes it takes."""
    least = smallest(kind, version, defect, parent=0)
    with pytest.raises(WorldError, match=f"has at least {least}"):
        bodies(least - 1, kind, version, defect)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_later_object_that_does_not_fit_is_refused_when_it_is_made(kind: str) -> None:
    """Its rows may be longer than those of the first."""
    with pytest.raises(WorldError, match="give it more bytes"):
        made(smallest(kind, "all") - 1, kind)


def test_padding_of_every_length_can_be_had() -> None:
    """Where the padding's own length takes a byte more, its name makes up for it."""
    for size in [*range(40_000), *range((1 << 21) - 9, (1 << 21) + 9)]:
        padding, longer = _padding(size)
        assert padding + len(varint(padding)) - 1 + longer == size

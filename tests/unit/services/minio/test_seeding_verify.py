"""The manifest of buckets, and the first difference between two."""

from __future__ import annotations

import json

import pytest

from envctl.services.minio.seeding import verify
from envctl.services.minio.seeding.buckets import Scope, Stored
from envctl.services.minio.seeding.verify import difference, section

ONE, TWO, THREE = Stored("in/1", 10, "aa"), Stored("in/2", 20, "bb"), Stored("out/3", 30, "cc")


def test_a_section_counts_and_names_each_object() -> None:
    """And comes out of JSON as it went in."""
    found = section([ONE, TWO])
    assert (found["rows"], found["bytes"]) == (2, 30)
    assert found["objects"] == {"in/1": [10, "aa"], "in/2": [20, "bb"]}
    assert json.loads(json.dumps(found)) == found


def test_the_digest_sees_key_size_and_etag() -> None:
    """Each alone."""
    others = [Stored("in/9", 10, "aa"), Stored("in/1", 9, "aa"), Stored("in/1", 10, "zz")]
    assert len({section([found])["digest"] for found in [ONE, *others]}) == 4


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ([ONE, TWO], ""),
        ([ONE], "object lake/in/2 is missing"),
        ([ONE, TWO, THREE], "object lake/out/3 is there and was not loaded"),
        ([ONE, Stored("in/2", 21, "bb")], "object lake/in/2 has 21 bytes; loaded were 20"),
        ([ONE, Stored("in/2", 20, "zz")], "object lake/in/2 has other bytes: ETag zz; loaded was bb"),
        ([THREE], "object lake/in/1 is missing"),
    ],
)
def test_the_first_different_object_is_named(now: list[Stored], told: str) -> None:
    """In order of the keys."""
    assert difference({"lake": section([ONE, TWO])}, {"lake": section(now)}) == told


def test_a_bucket_too_many_or_too_few_is_named() -> None:
    """Before any object."""
    assert difference({"lake": section([])}, {}) == "bucket lake is missing"
    assert difference({}, {"lake": section([])}) == "bucket lake was not loaded"


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ([ONE, TWO, THREE], ""),
        ([ONE, THREE], "folder lake/in/ has 1 objects; loaded were 2"),
        ([ONE, TWO], "folder lake/out/ is missing"),
        (
            [ONE, TWO, Stored("out/3", 31, "cc")],
            "the objects in folder lake/out/ have other names, sizes (31 bytes; loaded were 30) or ETags",
        ),
    ],
)
def test_of_very_many_objects_the_first_different_folder_is_named(
    now: list[Stored], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest of a hundred thousand lines helps nobody."""
    monkeypatch.setattr(verify, "LISTED", 1)
    recorded = {"lake": section([ONE, TWO, THREE])}
    assert "objects" not in recorded["lake"]
    assert difference(recorded, {"lake": section(now)}) == told


def test_sections_of_different_grain_are_compared_by_their_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One object more can be what makes the grain another."""
    recorded = {"lake": section([ONE, TWO])}
    monkeypatch.setattr(verify, "LISTED", 2)
    assert difference(recorded, {"lake": section([ONE, TWO, THREE])}) == "bucket lake has 3 objects; loaded were 2"


def test_the_scope_is_the_topmost_folders_and_the_keys_in_none() -> None:
    """What is beside them is others'."""
    scope = Scope(["in/a/1", "in/2", "top"])
    assert [key in scope for key in ("in/a/1", "in/b/9", "top", "top/1", "other", "into/1")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
    assert Scope(["in/a/1", "in/b/2"]).prefix == "in/"
    assert Scope(["in/a", "out/b"]).prefix == ""

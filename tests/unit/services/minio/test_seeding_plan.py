"""What a dataset wants in the buckets, and which keys it cannot have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.errors import ConfigurationError
from envctl.seeding.spec import Bucket, Dataset, Folder
from envctl.seeding.world import World
from envctl.services.minio.seeding.plan import Item, planned

if TYPE_CHECKING:
    from pathlib import Path


def plan(tmp_path: Path, *prefixes: str, files: tuple[str, ...] = ("a.csv",)) -> list[Item]:
    """The plan of a dataset that puts the same files under each prefix of one bucket."""
    for name in files:
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / name).write_bytes(b"12345")
    folders = tuple(Folder(tmp_path / "own", prefix) for prefix in prefixes)
    dataset = Dataset("own", tmp_path / "own.yaml", buckets={"lake": Bucket("lake", folders)})
    return planned(dataset, World(dataset))


def problems(tmp_path: Path, *prefixes: str, files: tuple[str, ...] = ("a.csv",)) -> list[str]:
    """What is wrong with it."""
    with pytest.raises(ConfigurationError) as raised:
        plan(tmp_path, *prefixes, files=files)
    return list(map(str, raised.value.problems))


def test_an_item_knows_its_name_its_size_and_its_bytes(tmp_path: Path) -> None:
    """As often as it is opened."""
    (item,) = plan(tmp_path, "in/")
    assert (item.name, item.size) == ("lake/in/a.csv", 5)
    assert list(item.open()) == list(item.open()) == [b"12345"]


def test_a_key_that_is_made_twice_is_told_with_both_origins(tmp_path: Path) -> None:
    """And with the place in the dataset."""
    (problem,) = problems(tmp_path, "", "")
    file = tmp_path / "own" / "a.csv"
    assert problem.endswith(f"own.yaml: minio.buckets.lake: the key 'a.csv' is made twice: by {file} and by {file}")


@pytest.mark.parametrize("prefix", ["/", "in//", "../", "./in/", "in/\x07/", "x" * 300, "x/" * 600])
def test_a_key_that_the_server_would_refuse_is_told_before(tmp_path: Path, prefix: str) -> None:
    """Empty parts, dots, control characters, too long ones."""
    (problem,) = problems(tmp_path, prefix)
    assert "is no key" in problem


def test_of_many_problems_the_first_are_told_and_the_rest_counted(tmp_path: Path) -> None:
    """Thousands of lines help nobody."""
    told = problems(tmp_path, "", "", files=tuple(f"{number}.csv" for number in range(25)))
    assert len(told) == 21
    assert told[-1] == "and 5 more of this kind"

"""A user's folders as objects: which files, in which order, and their bytes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from envctl.errors import ConfigurationError, SeedFailed
from envctl.seeding.spec import Folder
from envctl.services.minio.seeding.folders import PIECE, Contents, File, files_of, kind_of

if TYPE_CHECKING:
    from pathlib import Path


def found(path: Path, prefix: str = "") -> list[File]:
    """All files of a folder."""
    return list(files_of(Folder(path, prefix), "minio.buckets.app", path / "own.yaml"))


def keys(path: Path, prefix: str = "") -> list[str]:
    """Their keys."""
    return [file.key for file in found(path, prefix)]


def written(path: Path, content: bytes = b"x") -> Path:
    """A file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_keys_are_the_prefix_and_the_path_below_the_folder_in_order(tmp_path: Path) -> None:
    """Hidden files and the files of folders in folders too."""
    for name in ("b.csv", "a/2.csv", "a/1.csv", ".hidden", "a b/ü.csv"):
        written(tmp_path / name)
    assert keys(tmp_path, "in/") == ["in/.hidden", "in/a/1.csv", "in/a/2.csv", "in/a b/ü.csv", "in/b.csv"]


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    """What they lead to is stored under the link's name."""
    written(tmp_path / "elsewhere" / "one.csv", b"12345")
    own = tmp_path / "own"
    own.mkdir()
    (own / "folder").symlink_to(tmp_path / "elsewhere")
    (own / "file.csv").symlink_to(tmp_path / "elsewhere" / "one.csv")
    assert [(file.key, file.size) for file in found(own)] == [("file.csv", 5), ("folder/one.csv", 5)]


def test_the_same_folder_may_be_linked_twice(tmp_path: Path) -> None:
    """That is no circle."""
    written(tmp_path / "elsewhere" / "one.csv")
    own = tmp_path / "own"
    own.mkdir()
    (own / "a").symlink_to(tmp_path / "elsewhere")
    (own / "b").symlink_to(tmp_path / "elsewhere")
    assert keys(own) == ["a/one.csv", "b/one.csv"]


@pytest.mark.parametrize(
    ("name", "target", "why"),
    [("circle", ".", "links lead in a circle"), ("dead", "nowhere", "dead: is neither a file nor a folder")],
)
def test_a_link_that_leads_nowhere_is_a_problem_of_the_dataset(
    tmp_path: Path, name: str, target: str, why: str
) -> None:
    """The message names the link, and the place in the dataset."""
    (tmp_path / name).symlink_to(tmp_path / target)
    with pytest.raises(ConfigurationError, match=why) as raised:
        found(tmp_path)
    assert raised.value.problems[0].key == "minio.buckets.app"


def test_a_folder_that_is_missing_is_a_problem_of_the_dataset(tmp_path: Path) -> None:
    """Named with its path."""
    with pytest.raises(ConfigurationError, match=r"nowhere: No such file or directory"):
        found(tmp_path / "nowhere")


def test_a_name_that_is_not_utf_8_is_a_problem_of_the_dataset(tmp_path: Path) -> None:
    """No key can be made of it."""
    (tmp_path / os.fsdecode(b"b\xffd.csv")).write_bytes(b"")
    with pytest.raises(ConfigurationError, match="the name is not UTF-8"):
        found(tmp_path)


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1])
def test_the_pieces_are_the_file(tmp_path: Path, size: int) -> None:
    """None is longer than a piece may be, and none is empty."""
    content = os.urandom(size)
    written(tmp_path / "file.bin", content)
    pieces = list(Contents(found(tmp_path)[0]))
    assert b"".join(pieces) == content
    assert all(0 < len(piece) <= PIECE for piece in pieces)


@pytest.mark.parametrize("now", [b"", b"12", b"12345678", b"4321"], ids=["emptied", "shorter", "longer", "same size"])
def test_the_last_piece_of_a_file_that_changed_is_never_given(tmp_path: Path, now: bytes) -> None:
    """So that no store makes an object of it."""
    path = written(tmp_path / "file.bin", b"1234")
    file = found(tmp_path)[0]
    path.write_bytes(now)
    os.utime(path, ns=(0, 0))
    given: list[bytes] = []
    with pytest.raises(SeedFailed, match=r"file\.bin stored\n  found: it changed while it was read"):
        given.extend(Contents(file))
    assert sum(map(len, given)) < file.size


def test_a_file_that_vanished_is_an_error_that_names_it(tmp_path: Path) -> None:
    """Between the look at the folder and the reading."""
    path = written(tmp_path / "file.bin")
    file = found(tmp_path)[0]
    path.unlink()
    with pytest.raises(SeedFailed, match=r"file\.bin stored\n  found: No such file or directory"):
        list(Contents(file))


def test_the_content_type_is_that_of_the_extension() -> None:
    """In any case, and the general one for what is not known."""
    assert kind_of("in/a.CSV") == "text/csv"
    assert kind_of("a.parquet") == "application/vnd.apache.parquet"
    assert kind_of("README") == kind_of("a.unknown") == "application/octet-stream"

"""One folder or several, with and without names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.seeding.spec import Folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.seeding.spec.conftest import Problems, Read


@pytest.mark.parametrize(
    "folders",
    ["{path: data, prefix: in/}", "[{path: data, prefix: in/}]", "{mine: {path: data, prefix: in/}}"],
)
def test_one_folder_with_its_prefix_stands_alone_in_a_list_or_under_a_name(
    read: Read, tmp_path: Path, folders: str
) -> None:
    """All three say the same."""
    (tmp_path / "data").mkdir()
    found = read(f"minio: {{buckets: {{app: {{folders: {folders}}}}}}}").buckets["app"].folders
    assert found == (Folder(tmp_path / "data", "in/"),)


@pytest.mark.parametrize(
    ("folders", "key"),
    [("{prefix: in/}", "prefix"), ("{path: data, more: data}", "path"), ("{a: data, prefix: b}", "prefix")],
)
def test_the_keys_of_one_folder_are_no_names_of_several(
    problems: Problems, tmp_path: Path, folders: str, key: str
) -> None:
    """What was meant cannot be known."""
    (tmp_path / "data").mkdir()
    (found,) = problems(f"minio: {{buckets: {{app: {{\nfolders: {folders}}}}}}}")
    assert found.startswith(f"2: minio.buckets.app.folders.{key}: is a key of one folder")

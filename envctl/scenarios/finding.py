"""Where scenarios are: by name in folders, or by path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.errors import ConfigurationError, Problem, UnknownName
from envctl.seeding.spec.finding import available, is_path

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = "scenarios"
"""Beside the configuration, and in the working folder: where a team keeps its own."""


def shipped() -> Path:
    """The folder with the scenarios that ship with envctl."""
    return Path(__file__).parent / "shipped"


def beside(folders: Sequence[Path]) -> tuple[Path, ...]:
    """The folders of scenarios beside those of datasets."""
    return tuple(folder.parent / FOLDER for folder in folders)


def known(folders: Sequence[Path]) -> dict[str, Path]:
    """The file of every name; what is in `folders` comes before what ships."""
    return available((*folders, shipped()))


def is_shipped(file: Path | None) -> bool:
    """Whether a scenario came with envctl."""
    return file is not None and file.parent == shipped()


def find(reference: str, folders: Sequence[Path]) -> Path:
    """The file of a scenario; a path has a `/` or ends in .yaml or .yml, and starts at the working folder.

    Raises:
        UnknownName: no scenario has that name; ConfigurationError: nothing is at that path.

    """
    if not is_path(reference):
        names = known(folders)
        if reference not in names:
            raise UnknownName("scenario", reference, names)
        return names[reference]
    file = Path(os.path.normpath(Path.cwd() / Path(reference).expanduser()))
    if not file.is_file():
        raise ConfigurationError([Problem("is a folder" if file.is_dir() else "no such file", file=file)], "a scenario")
    return file

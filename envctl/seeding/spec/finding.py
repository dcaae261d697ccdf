"""Where datasets are: by name in folders, or by path."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.config import bundle_root
from envctl.errors import ConfigurationError, Problem, UnknownName

if TYPE_CHECKING:
    from collections.abc import Sequence

SUFFIXES = (".yaml", ".yml")
FOLDER = "seeds"


def shipped() -> Path:
    """The folder with the datasets that ship with envctl."""
    return bundle_root() / FOLDER


def available(folders: Sequence[Path]) -> dict[str, Path]:
    """The file of every name, in the folders' order, then by name. Nothing is opened."""
    found: dict[str, Path] = {}
    for folder in folders:
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            if file.suffix in SUFFIXES and file.is_file():
                found.setdefault(file.stem, file.absolute())
    return found


def is_path(reference: str) -> bool:
    """Whether a dataset is given by its path: it has a `/` or ends in .yaml or .yml."""
    return "/" in reference or reference.endswith(SUFFIXES)


def find(reference: str, folders: Sequence[Path]) -> Path:
    """The file of a dataset; a path that is not absolute starts at the working folder.

    Raises:
        UnknownName: no dataset has that name; ConfigurationError: nothing is at that path.

    """
    if not is_path(reference):
        known = available(folders)
        if reference not in known:
            raise UnknownName("dataset", reference, (name for name, path in known.items() if not _is_abstract(path)))
        return known[reference]
    file = Path(os.path.normpath(Path.cwd() / Path(reference).expanduser()))
    if not file.is_file():
        raise ConfigurationError([Problem("no such file", file=file)], "a dataset")
    return file


def _is_abstract(file: Path) -> bool:
    """Whether it cannot be loaded itself, as far as a look at its text tells."""
    try:
        return re.search(rb"(?m)^abstract:\s*true\b", file.read_bytes()) is not None
    except OSError:
        return False

"""A dataset's digest: the same for the same data, on every machine, however and wherever its files are written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.seeding.spec.model import Folder, Keys

if TYPE_CHECKING:
    from envctl.seeding.spec.model import Dataset

GENERATOR_VERSION = 1
"""Goes up when the same dataset would give other bytes: another transform, another encoding of a value."""

# They name the dataset, or follow from the rest.
_LEFT_OUT = frozenset({"name", "file", "description", "digest", "files"})
# The order of an object's fields, a message's headers and an entry's fields is seen in the services; of all other
# mappings it is not.
_ORDERED = frozenset({"versions", "headers", "fields"})


def digest(dataset: Dataset) -> str:
    """SHA-256 of all that determines what is loaded: the resolved dataset, its scale, and the content of its files."""
    said = {field.name: getattr(dataset, field.name) for field in fields(dataset) if field.name not in _LEFT_OUT}
    document = {"generator": GENERATOR_VERSION, **_mapping(said, ordered=False)}
    return hashlib.sha256(json.dumps(document, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _canonical(value: Any, *, ordered: bool = False) -> Any:  # noqa: ANN401 - any part of a dataset
    if isinstance(value, Folder):
        return {"prefix": value.prefix, "files": _folder(value.path)}
    if is_dataclass(value) and not isinstance(value, type):
        unordered = isinstance(value, Keys) and value.type != "stream"
        return {
            field.name: _canonical(getattr(value, field.name), ordered=field.name in _ORDERED and not unordered)
            for field in fields(value)
        }
    if isinstance(value, Path):
        return _content(value)
    if isinstance(value, Mapping):
        return _mapping(value, ordered=ordered)
    if isinstance(value, tuple | list):
        return [_canonical(item) for item in value]
    return value


def _mapping(value: Mapping[str, Any], *, ordered: bool) -> Any:  # noqa: ANN401 - pairs, or a dict
    pairs = [(str(key), _canonical(item, ordered=ordered)) for key, item in value.items()]
    return pairs if ordered else dict(pairs)


def _folder(path: Path) -> dict[str, str]:
    return {file.relative_to(path).as_posix(): _content(file) for file in path.rglob("*") if file.is_file()}


def _content(file: Path) -> str:
    """The SHA-256 of a file, read piece by piece."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

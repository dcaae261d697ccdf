"""A user's folders: which files are in them, and their bytes, read piece by piece."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.errors import ConfigurationError, Problem, SeedFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.seeding.spec import Folder

PIECE = 1 << 20
"""Bytes read at a time."""

_UNDECODED = re.compile("[\udc80-\udcff]")
"""How Python holds bytes of a file's name that are no UTF-8."""

_KINDS = {
    "avro": "application/avro",
    "csv": "text/csv",
    "gz": "application/gzip",
    "html": "text/html",
    "jpg": "image/jpeg",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "pdf": "application/pdf",
    "png": "image/png",
    "txt": "text/plain",
    "xml": "application/xml",
    "zip": "application/zip",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was when the folder was read; `changed` is in ns since 1970."""

    path: Path
    key: str
    size: int
    changed: int


class Contents:
    """A file's bytes, in pieces; it has no rows that anybody counts."""

    rows = 0

    def __init__(self, file: File) -> None:
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        """The pieces; the last one only when the file is still the one that was found.

        Raises:
            SeedFailed: it changed or vanished meanwhile, or cannot be read.

        """
        file, done = self._file, 0
        try:
            with file.path.open("rb", buffering=0) as stream:
                while done < file.size:
                    piece = stream.read(min(PIECE, file.size - done))
                    done += len(piece)
                    # A store makes an object of what it was sent as soon as it has the last byte.
                    if not piece or (done == file.size and not self._unchanged(os.fstat(stream.fileno()))):
                        raise self._changed("it changed while it was read")
                    yield piece
        except OSError as error:
            raise self._changed(error.strerror or str(error)) from error

    def _unchanged(self, now: os.stat_result) -> bool:
        return (now.st_size, now.st_mtime_ns) == (self._file.size, self._file.changed)

    def _changed(self, found: str) -> SeedFailed:
        return SeedFailed(f"{self._file.path} stored", found, "leave the file alone, and run `envctl seed` again")


def kind_of(key: str) -> str:
    """The content type by the key's extension; not by the machine's tables, which differ."""
    return _KINDS.get(key.rpartition(".")[2].lower(), "application/octet-stream")


def files_of(folder: Folder, key: str, dataset: Path) -> Iterator[File]:
    """All files below a folder, hidden ones too, in order of their names; links are followed.

    Raises:
        ConfigurationError: it cannot be read, or holds what is no file: `key` and `dataset` are the place to name.

    """
    try:
        yield from _below(folder.path, folder.prefix, ())
    except (OSError, ValueError) as error:
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise ConfigurationError([Problem(why, key, dataset)], "a valid dataset") from error


def _below(folder: Path, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[File]:
    found = folder.stat()
    here = (found.st_dev, found.st_ino)
    if here in above:
        raise ValueError(f"{folder}: links lead in a circle")
    with os.scandir(folder) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    for entry in entries:
        key = prefix + entry.name
        if _UNDECODED.search(key):
            raise ValueError(f"{entry.path!r}: the name is not UTF-8")
        if entry.is_dir():
            yield from _below(Path(entry.path), f"{key}/", (*above, here))
        elif entry.is_file():
            status = entry.stat()
            yield File(Path(entry.path), key, status.st_size, status.st_mtime_ns)
        else:
            raise ValueError(f"{entry.path}: is neither a file nor a folder, or a link to nothing")

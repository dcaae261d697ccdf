"""What makes a second `up` with a dataset cost a few looks: the proof that all of it was loaded into what runs now.

`$XDG_STATE_HOME/envctl/<name>/seeded.json` says what was asked for, from which files (size and time of each), and into
which start of which container it went. It is removed before anything is loaded and written when all is there, so
that where it stands and holds, nothing need be read, generated or asked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.model import Container
    from envctl.seeding.spec import Dataset
    from envctl.state import StateFolder

FILE = "seeded.json"


def holds(folder: StateFolder, wanted: Mapping[str, Any], containers: Iterable[Container]) -> bool:
    """Whether just this was loaded into just these starts of these containers, and no file has changed since.

    `wanted` is what `written` was given. Services that have come since and that the dataset fills make it fail.
    """
    try:
        proof: dict[str, Any] = json.loads((folder.path / FILE).read_text("utf-8"))
        files, folders = proof["files"], proof["folders"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if proof.get("version") != __version__ or proof.get("wanted") != _plain(wanted):
        return False
    now = {c.service: [c.id, c.started_at] for c in containers if c.service in proof["services"]}
    return bool(now == proof["starts"]) and _stamps(map(Path, files), map(Path, folders)) == files


def written(folder: StateFolder, wanted: Mapping[str, Any], dataset: Dataset, containers: Iterable[Container]) -> None:
    """Write the proof: all that `dataset` has for these containers is in them."""
    folders = [source.path for bucket in dataset.buckets.values() for source in bucket.folders]
    proof = {
        "version": __version__,
        "wanted": _plain(wanted),
        "digest": dataset.digest,
        "files": _stamps(dataset.files, folders),
        "folders": list(map(str, folders)),
        "services": list(dataset.services),
        "starts": {c.service: [c.id, c.started_at] for c in containers if c.service in dataset.services},
    }
    folder.write(FILE, json.dumps(proof))


def withdrawn(folder: StateFolder) -> None:
    """Remove the proof; there may be none."""
    (folder.path / FILE).unlink(missing_ok=True)


def _stamps(files: Iterable[Path], folders: Iterable[Path]) -> dict[str, list[int] | None]:
    """Size and time of every file, also of those in the folders; None for what is not there."""
    inside = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path): _stamp(path) for path in sorted({*files, *inside})}


def _stamp(path: Path) -> list[int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _plain(wanted: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """As it comes back from a file."""
    return json.loads(json.dumps(dict(wanted), default=str))

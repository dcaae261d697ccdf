"""Which datasets there are, how much each loads, and about how long that takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envctl.errors import ConfigurationError
from envctl.seeding.spec import load
from envctl.seeding.spec.finding import available, shipped
from envctl.seeding.spec.sheet import read

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from envctl.seeding.loading import Size


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """One dataset at one scale: `sizes` by service, `seconds` as an estimate; or the first `problem` that it has."""

    name: str
    file: Path
    description: str = ""
    sizes: Mapping[str, Size] = field(default_factory=dict)
    seconds: float = 0.0
    problem: str = ""

    @property
    def shipped(self) -> bool:
        """Whether it came with envctl."""
        return self.file.parent == shipped()

    @property
    def bytes(self) -> int:
        """Bytes in all services together."""
        return sum(size.bytes for size in self.sizes.values())


def list_datasets(folders: Sequence[Path], scale: float = 1.0) -> list[DatasetSummary]:
    """Every dataset of the folders that can be loaded, the smallest first; broken ones at the end, with the reason.

    Raises:
        UsageError: the scale is none.

    """
    found = [_summary(name, file, folders, scale) for name, file in available((*folders, shipped())).items()]
    return sorted(filter(None, found), key=lambda summary: (bool(summary.problem), summary.bytes, summary.name))


def _summary(name: str, file: Path, folders: Sequence[Path], scale: float) -> DatasetSummary | None:
    """One dataset; None for one that is only there to be extended."""
    if read(file, folders).values.get("abstract") is True:
        return None
    try:
        dataset = load(str(file), scale, folders=folders)
    except ConfigurationError as error:
        return DatasetSummary(name, file, problem=str(error.problems[0]))
    from envctl.seeding import estimate

    sizes = estimate.sizes(dataset)
    return DatasetSummary(name, file, dataset.description, sizes, estimate.seconds(sizes))

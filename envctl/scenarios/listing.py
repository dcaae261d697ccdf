"""Which scenarios there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envctl.errors import ConfigurationError
from envctl.scenarios import finding, reading
from envctl.scenarios.possible import needed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Summary:
    """One scenario: what it claims and which services it needs; or the first `problem` that it has."""

    name: str
    file: Path
    description: str = ""
    services: tuple[str, ...] = ()
    problem: str = ""

    @property
    def shipped(self) -> bool:
        """Whether it came with envctl."""
        return finding.is_shipped(self.file)

    def to_json(self) -> dict[str, Any]:
        """The same for `--json`."""
        return {
            "name": self.name,
            "file": str(self.file),
            "shipped": self.shipped,
            "description": self.description,
            "services": list(self.services),
            "problem": self.problem or None,
        }


def summaries(folders: Sequence[Path]) -> list[Summary]:
    """Every scenario of the folders, and those that ship last; no function of theirs is loaded."""
    found = [_summary(name, file) for name, file in finding.known(folders).items()]
    return sorted(found, key=lambda summary: (summary.shipped, summary.name))


def _summary(name: str, file: Path) -> Summary:
    try:
        scenario = reading.load(file, functions=False).scenario
    except ConfigurationError as error:
        return Summary(name, file, problem=f"cannot be run: {error.problems[0]}")
    return Summary(name, file, scenario.description, needed(scenario))

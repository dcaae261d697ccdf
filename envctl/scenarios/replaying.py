"""Repeating a run: the same scenario, seed and choices, those of the faults included."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.errors import UsageError
from envctl.scenarios import history
from envctl.scenarios.page import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.scenarios.model import Scenario


@dataclass(frozen=True, slots=True)
class Past:
    """What of an earlier run is repeated: `choices` of its own, and those `of_faults` by their place."""

    source: Path
    scenario: str
    digest: str
    document: Mapping[str, Any]
    folder: str
    seed: int
    choices: dict[str, Any] = field(default_factory=dict)
    of_faults: dict[str, dict[str, Any]] = field(default_factory=dict)

    def page(self) -> Page:
        """The scenario as it was then."""
        return Page(dict(self.document), self.source)

    def require(self, scenario: Scenario) -> None:
        """See that a scenario is the one of that run.

        Raises:
            UsageError: it is another, or was changed since.

        """
        if scenario.digest != self.digest:
            raise UsageError(
                f"the scenario that {self.source} tells of",
                f"{scenario.file or scenario.name} says something else now",
                f"`envctl chaos run --replay {self.source}` alone repeats it as it was",
            )


def past(source: str | Path) -> Past:
    """What a history tells of its run.

    Raises:
        UsageError: it is none.

    """
    lines = history.read(source)
    began = next(line for line in lines if line["event"] == history.STARTED)
    try:
        return Past(
            Path(source),
            began["scenario"],
            began["digest"],
            began["document"],
            began["folder"],
            began["seed"],
            {line["what"]: line["value"] for line in lines if line["event"] == "scenario.chosen"},
            {line["place"]: line["choices"] for line in lines if line["event"] == "scenario.fault"},
        )
    except KeyError as error:
        raise UsageError(
            "the history of an earlier run", f"{source}: a line lacks {error}", "take one that envctl wrote"
        ) from error

"""What the doctor says: findings (what is) and actions (what was done)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Level(StrEnum):
    """`ok`: nothing to do; `warn`: works, with a limit or unknown; `fail`: something of envctl cannot work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `envctl doctor`: the state, what was found, what it means, what to do.

    `check` is a stable dotted name. `data` holds the facts for machines; its keys depend on the check. `exit_code` is
    what `envctl doctor` ends with when this fails.
    """

    check: str
    state: Level
    found: str
    meaning: str
    advice: str = ""
    data: Mapping[str, object] = field(default_factory=dict)
    exit_code: int = 1

    def to_json(self) -> dict[str, object]:
        """The same facts for `--json`."""
        return {**asdict(self), "data": dict(self.data)}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that `fix` did, and the seconds it took. `command` is what a person would have typed."""

    what: str
    command: str
    seconds: float

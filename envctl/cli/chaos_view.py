"""Faults in words and tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from envctl.cli import output, phrases

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.chaos.healing import Healed
    from envctl.chaos.injection import Injection
    from envctl.chaos.listing import Row
    from envctl.reports import Verdict


def matrix(rows: Sequence[Row]) -> str:
    """A table of faults by services, and below it the reasons why not."""
    services, faults = list(dict.fromkeys(row.service for row in rows)), list(dict.fromkeys(row.fault for row in rows))
    known = {(row.fault, row.service): row for row in rows}
    cells = [[name, *("yes" if known[name, service].possible else "-" for service in services)] for name in faults]
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if not row.possible:
            reasons.setdefault((row.fault, row.reason), []).append(row.service)
    lines = [f"  {fault} on {', '.join(names)}: {reason}" for (fault, reason), names in reasons.items()]
    table = output.table(["fault", *services], cells)
    return "\n".join([table, *(["", "why not:", *lines] if lines else []), "", "`envctl chaos FAULT --help` says more"])


def in_force(entries: Sequence[Mapping[str, Any]]) -> str:
    """One row for each fault in force."""
    if not entries:
        return "no fault is in force"
    rows = [[e["id"], e["service"], str(e["stage"]), f"{e['left']:.0f} s", e["problem"]] for e in entries]
    return output.table(["id", "service", "stage", "left", "problem"], rows)


def healed(outcomes: Sequence[Healed]) -> str:
    """What was healed, and what was lost."""
    return "\n".join(map(outcome, outcomes)) or "nothing was in force"


def outcome(one: Healed) -> str:
    """How one fault ended."""
    if one.problem:
        return f"{one.id}: lost: {one.problem}"
    return f"{one.id}: healed, and proven, in {phrases.duration(one.ms)}" + _facts(one.evidence)


def injected(injection: Injection, *, detached: bool) -> str:
    """What is in force, how that was seen, and until when."""
    until = f"for {injection.left:.0f} s" if injection.left < 3600 else "until Ctrl-C"  # noqa: PLR2004 - `--hold`
    end = f"; `envctl chaos heal {injection.id}` ends it" if detached else ""
    return f"{injection.id} is in force on {injection.service} {until}, seed {injection.seed}{end}" + _facts(
        injection.evidence
    )


def over(injection: Injection, verdict: Verdict | None) -> str:
    """The verdict, where there is one, and how it ended."""
    lines = [str(verdict)] if verdict else []
    return "\n".join([*lines, outcome(injection.healed)] if injection.healed else lines)


def _facts(evidence: Mapping[str, Any]) -> str:
    """What was measured, one fact a line."""
    return "".join(f"\n  {name}: {_value(value)}" for name, value in evidence.items())


def _value(value: object) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return "; ".join(_texts(value))
    return json.dumps(value, default=str)


def _texts(values: Iterable[object]) -> list[str]:
    return [str(value) for value in values]

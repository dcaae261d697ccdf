"""The events of scenarios in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Data = Mapping[str, Any]

DETAILS = frozenset(
    {"probe.held", "scenario.step", "scenario.chosen", "scenario.fault", "scenario.lifted", "scenario.verdict"}
)
"""Shown with `-v` only."""


def _failed(data: Data) -> str:
    hurt = " and ".join(data.get("during", ()))
    when = f"during {hurt}" if hurt else "while nothing was in force"
    return f"probe {data.get('probe')} failed {when}: {data.get('problem')}"


def _worked(data: Data) -> str:
    return f"{data.get('work')}: {data.get('problem') or data.get('result') or 'done'}"


def _recovered(data: Data) -> str:
    if data.get("ok"):
        return f"all is well again, {data.get('ms', 0) / 1000:.1f} s after the last fault"
    return f"not well again: {data.get('problem')}"


PHRASES: dict[str, Callable[[Data], str]] = {
    "scenario.started": lambda data: f"scenario {data.get('scenario')} begins, seed {data.get('seed')}",
    "scenario.steady": lambda data: "steady: it can begin" if data.get("ok") else "not steady: nothing is hurt",
    "scenario.step": lambda data: f"{data.get('place')}: {data.get('kind')}",
    "scenario.chosen": lambda data: f"{data.get('what')}: {data.get('value')}",
    "scenario.fault": lambda data: f"{data.get('place')}: {data.get('fault')} on {data.get('service')}",
    "scenario.lifted": lambda data: f"{data.get('place')}: {data.get('stage')}",
    "scenario.work": lambda data: f"{data.get('work')} begins",
    "scenario.worked": _worked,
    "scenario.recovered": _recovered,
    "scenario.verdict": lambda data: f"{data.get('scenario')}: {data.get('outcome')}",
    "probe.held": lambda data: f"probe {data.get('probe')} held {data.get('role')}",
    "probe.failed": _failed,
}

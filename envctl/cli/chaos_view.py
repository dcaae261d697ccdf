"""Faults in words and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.cli import output, phrases
from envctl.cli.evidence import facts
from envctl.faults import values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.chaos.healing import Healed
    from envctl.chaos.injection import Injection
    from envctl.chaos.listing import Row
    from envctl.faults.fault import Option
    from envctl.faults.values import Kind
    from envctl.journal import Entry
    from envctl.reports import Verdict


_TRUTH = {True: "yes", False: "no"}
_METAVARS: dict[Kind, str] = {
    values.flag: "yes|no",
    values.count: "N",
    values.duration: "TIME",
    values.size: "SIZE",
    values.rate: "RATE",
    values.percent: "PERCENT",
}
_SIZES = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1))
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def metavar(option: Option) -> str:
    """What stands for an option's value in the help."""
    return option.metavar or "|".join(option.choices or ()) or _METAVARS.get(option.kind, "TEXT")


def described(option: Option) -> str:
    """An option's help: what it is for, its words, and what holds without it."""
    words = "; ".join(f"{word}: {meaning}" for word, meaning in (option.choices or {}).items())
    default = _default(option)
    return option.help + (f" {words}." if words else "") + (f"  [default: {default}]" if default else "")


def _default(option: Option) -> str:
    """As one would type it; empty where the option has no value of its own."""
    value = option.default
    if isinstance(value, bool):
        return _TRUTH[value]
    if isinstance(value, int) and value and metavar(option) == "SIZE":
        size, power = next(one for one in _SIZES if value % one[1] == 0)
        return f"{value // power}{size}"
    if isinstance(value, int) and metavar(option) == "RATE":
        return f"{value / 1e6:g}mbit"
    if isinstance(value, float) and value and metavar(option) in {"TIME", "DURATION", "OFFSET"}:
        unit, factor = next(((unit, factor) for unit, factor in _UNITS if value % factor == 0), ("ms", 0.001))
        return f"{value / factor:g}{unit}"
    return f"{value:g}" if isinstance(value, float) else str(value or "")


def matrix(rows: Sequence[Row]) -> str:
    """A table of faults by services, and below it the reasons why not."""
    services, faults = list(dict.fromkeys(row.service for row in rows)), list(dict.fromkeys(row.fault for row in rows))
    known = {(row.fault, row.service): row for row in rows}
    cells = [[name, *("yes" if known[name, service].possible else "-" for service in services)] for name in faults]
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if not row.possible:
            # What all of them lack is one reason, though each is named in its own.
            reason = row.reason.removeprefix(f"{row.service} ")
            reasons.setdefault((row.fault, reason), []).append(row.service)
    lines = [f"  {fault} on {', '.join(names)}: {reason}" for (fault, reason), names in reasons.items()]
    table = output.table(["fault", *services], cells)
    means = [f"  {fault} by {text}" for fault, text in dict.fromkeys((row.fault, row.by) for row in rows if row.by)]
    parts = [table, *(["", "why not:", *lines] if lines else []), *(["", "how:", *means] if means else [])]
    return "\n".join([*parts, "", "`envctl chaos FAULT --help` says more"])


def in_force(entries: Sequence[Mapping[str, Any]]) -> str:
    """One row for each fault in force."""
    if not entries:
        return "no fault is in force"
    rows = [
        [e["id"], e["service"], str(e["stage"]), phrases.duration(max(0.0, e["left"]) * 1000), e["problem"]]
        for e in entries
    ]
    return output.table(["id", "service", "stage", "left", "problem"], rows)


def lost(entries: Sequence[Entry]) -> str:
    """Those that are gone, and were to be in force still."""
    lines = [f"  {entry.id} on {entry.service}: {entry.problem}" for entry in entries]
    return "\n".join(["", "", "lost, though their time is not over:", *lines]) if lines else ""


def healed(outcomes: Sequence[Healed]) -> str:
    """What was healed, and what was lost."""
    return "\n".join(map(outcome, outcomes)) or "nothing was in force"


def outcome(one: Healed) -> str:
    """How one fault ended."""
    if one.problem:
        return f"{one.id}: lost: {one.problem}"
    return f"{one.id}: healed, and proven, in {phrases.duration(one.ms)}" + facts(one.evidence)


def injected(injection: Injection, end: str) -> str:
    """What is in force, how that was seen, and until when; `end`: what ends it before, in words."""
    if injection.fault.momentary:
        lasting = f"took effect on {injection.service}"
    elif injection.left <= 0:
        lasting = f"took effect on {injection.service}; its time was over before that was seen"
    else:
        lasting = f"is in force on {injection.service} for {phrases.duration(injection.left * 1000)}{end}"
    return f"{injection.id} {lasting}, seed {injection.seed}" + facts(injection.evidence)


def over(injection: Injection, verdict: Verdict | None) -> str:
    """The verdict, where there is one, and how it ended."""
    lines = [str(verdict)] if verdict else []
    return "\n".join([*lines, outcome(injection.healed)] if injection.healed else lines)


def by_service(words: Mapping[str, Iterable[str]]) -> str:
    """The words that an option takes, for each service that has some, once where all have the same; the first is what
    holds without the option.
    """
    told = {service: ", ".join(known) for service, known in words.items() if known}
    if len(told) > 1 and len({*told.values()}) == 1:
        return f"  [{next(iter(told.values()))}]"
    return f"  [{'; '.join(f'{service}: {known}' for service, known in told.items())}]" if told else ""

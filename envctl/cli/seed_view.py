"""A load in words and bars: how far a service's share has come, how fast, how long yet; and the table at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.cli import output, phrases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.reports import SeedReport, VerifyReport

WIDTH = 20
"""Characters of a bar."""

TELLS = 0.01
"""The share from which on the time until now tells how long the rest takes."""

_OUTCOMES = {
    "loaded": "loaded",
    "resumed": "loaded the rest of it",
    "replaced": "loaded in the place of what was there",
    "there": "loaded already",
}


def bar(data: Mapping[str, Any]) -> str:
    """`━━━━━━━━━━          50 %  120,000 rows/s  3.0 s left`, of a `seed.progress`."""
    done = share(data)
    filled = round(done * WIDTH)
    seconds = float(data["seconds"])
    rate = f"  {phrases.count(data['rows'] / seconds)} rows/s" if seconds and data["rows"] else ""
    return f"{'━' * filled}{' ' * (WIDTH - filled)} {done:4.0%}{rate}{left(data)}"


def share(data: Mapping[str, Any]) -> float:
    """How much of it is there, 0 to 1, by bytes, where there are none by rows."""
    done, whole = ("bytes", "of_bytes") if data["of_bytes"] else ("rows", "of_rows")
    return min(1.0, data[done] / data[whole]) if data[whole] else 0.0


def left(data: Mapping[str, Any]) -> str:
    """`  3.0 s left`, at the speed until now; empty while too little is there to tell, and when all is."""
    done, seconds = share(data), float(data["seconds"])
    return f"  {phrases.duration(seconds * 1000 * (1 - done) / done)} left" if TELLS <= done < 1 else ""


def progress(data: Mapping[str, Any]) -> str:
    """A `seed.progress` as a line."""
    sizes = f"{phrases.size(data['bytes'])} of {phrases.size(data['of_bytes'])}"
    remains = left(data)
    rows = f"{phrases.count(data['rows'])} of {phrases.count(data['of_rows'])} rows"
    return f"{rows}, {sizes}" + (f";{remains[1:]}" if remains else "")


def summary(report: SeedReport) -> str:
    """What `seed` ends with: rows, bytes, seconds by service."""
    what = _named(report)
    if not report.services and not report.functions:
        return f"dataset {what} is loaded already"
    rows = [
        [name, phrases.count(part.rows), phrases.size(part.bytes), f"{part.seconds:.2f} s", _OUTCOMES[part.outcome]]
        for name, part in report.services.items()
    ]
    rows += [[name, "", "", "", "left out: not in this environment"] for name in report.absent]
    rows += [[name, "", "", "", "called"] for name in report.functions]
    table = output.table(["service", "rows", "size", "time", ""], rows)
    done = {part.outcome for part in report.services.values()} != {"there"}
    last = f"dataset {what} " + (f"loaded in {phrases.duration(report.ms)}" if done else "is loaded already")
    return f"{table}\n\n{last}"


def verified(report: VerifyReport) -> str:
    """What `seed --verify` ends with, when nothing differs."""
    table = output.table(["service", "rows"], [[name, phrases.count(rows)] for name, rows in report.services.items()])
    return f"{table}\n\ndataset {_named(report)}: equal to what was loaded (in {phrases.duration(report.ms)})"


def _named(report: SeedReport | VerifyReport) -> str:
    scale = "" if report.scale == 1.0 else f" at scale {report.scale:g}"
    return f"{report.dataset!r}{scale}"

"""A load in words and bars: how far a service's share has come, how fast, how long yet; and the table at the end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from envctl.cli import output, phrases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.reports import SeedReport, VerifyReport

WIDTH = 20
"""Characters of a bar."""

TELLS, TELLS_AFTER = 0.01, 1.0
"""The share, and the seconds, from which on the time until now tells how long the rest takes."""

_OUTCOMES = {
    "loaded": "loaded",
    "resumed": "loaded the rest of it",
    "replaced": "loaded in the place of what was there",
    "there": "loaded already",
}


def bar(data: Mapping[str, Any]) -> str:
    """`━━━━━━━━━━          50%  25.0 MB/s  3 s left`, of a `seed.progress`."""
    done = share(data)
    filled = round(done * WIDTH)
    seconds = float(data["seconds"])
    return f"{'━' * filled}{' ' * (WIDTH - filled)} {done:4.0%}{_rate(data, seconds) if seconds else ''}{left(data)}"


def _rate(data: Mapping[str, Any], seconds: float) -> str:
    if data["bytes"]:
        return f"  {phrases.size(data['bytes'] / seconds)}/s"
    return f"  {phrases.count(data['rows'] / seconds)} rows/s" if data["rows"] else ""


def share(data: Mapping[str, Any]) -> float:
    """How much of it is there, 0 to 1, by bytes, where there are none by rows."""
    done, whole = ("bytes", "of_bytes") if data["of_bytes"] else ("rows", "of_rows")
    return min(1.0, data[done] / data[whole]) if data[whole] else 0.0


def left(data: Mapping[str, Any]) -> str:
    """`  3 s left`, at the speed until now; empty while too little is there to tell, and when all is."""
    done, seconds = share(data), float(data["seconds"])
    if seconds < TELLS_AFTER or not TELLS <= done < 1:
        return ""
    remains = math.ceil(seconds * (1 - done) / done)
    return f"  {phrases.duration(remains * 1000) if remains >= 100 else f'{remains} s'} left"  # noqa: PLR2004 - as there


def progress(data: Mapping[str, Any]) -> str:
    """A `seed.progress` as a line: `25%, 50.0 MB of 200.0 MB; 6 s left`."""
    remains = left(data)
    sizes = f"{phrases.size(data['bytes'])} of {phrases.size(data['of_bytes'])}"
    return f"{share(data):.0%}, {sizes}" + (f";{remains[1:]}" if remains else "")


def summary(report: SeedReport) -> str:
    """What `seed` ends with: rows, bytes, seconds by service."""
    what = _named(report.dataset, report.scale)
    if not report.services and not report.functions:
        return f"dataset {what} is loaded already"
    rows = [
        [
            name,
            phrases.things(name, part.rows),
            phrases.size(part.bytes),
            f"{part.seconds:.2f} s",
            _OUTCOMES[part.outcome],
        ]
        for name, part in report.services.items()
    ]
    rows += [[name, "", "", "", "left out: not in this environment"] for name in report.absent]
    rows += [[name, "", "", "", "called"] for name in report.functions]
    table = output.table(["service", "holds", "size", "time", ""], rows)
    done = {part.outcome for part in report.services.values()} != {"there"}
    last = f"dataset {what} " + (f"loaded in {phrases.duration(report.ms)}" if done else "is loaded already")
    return f"{table}\n\n{last}"


def verified(report: VerifyReport) -> str:
    """What `seed --verify` ends with, when nothing differs. Spark's tables and views are compared, their rows not."""
    first = (report.dataset, report.scale)
    loaded = {name: _named(*report.loaded.get(name, first)) for name in report.services}
    several = list(dict.fromkeys(loaded.values()))
    held = [
        [name, phrases.things(name, rows) if rows else "", loaded[name] if len(several) > 1 else ""]
        for name, rows in report.services.items()
    ]
    table = output.table(["service", "holds", "of" if len(several) > 1 else ""], held)
    what = f"datasets {', '.join(several)}" if len(several) > 1 else f"dataset {_named(*first)}"
    return f"{table}\n\n{what}: equal to what was loaded (in {phrases.duration(report.ms)})"


def _named(dataset: str, scale: float) -> str:
    return repr(dataset) if scale == 1.0 else f"{dataset!r} at scale {scale:g}"

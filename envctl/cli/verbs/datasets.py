"""`envctl datasets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from envctl.cli import output, phrases
from envctl.cli.options import Verb

if TYPE_CHECKING:
    from envctl.cli.run import Run
    from envctl.datasets import DatasetSummary

_HEADER = ["dataset", "from", "rows", "messages", "keys", "objects", "bytes", "takes", "description"]
_COUNTED = ("postgres", "kafka", "redis", "minio")
_HOUR, _MINUTE = 3600, 60


@click.command("datasets", cls=Verb)
@click.option("--scale", metavar="F", help="What they load at this scale; else the configured one.")
@click.pass_obj
def datasets_verb(run: Run, /, *, scale: str | None) -> None:
    """List the datasets that can be loaded.

    For each: where it is from, rows in PostgreSQL, messages in Kafka, keys in Redis, objects in MinIO, bytes in all,
    and about how long it takes to load. Rows and bytes are reckoned from a few rows.
    """
    from envctl.datasets import list_datasets

    settings = run.settings(scale=scale)
    found = list_datasets(settings.seeds, settings.scale)
    if run.json:
        output.show_json({"scale": settings.scale, "datasets": [_document(summary) for summary in found]})
    else:
        output.show(output.table(_HEADER, [_row(summary) for summary in found]))


def _document(summary: DatasetSummary) -> dict[str, object]:
    services = {name: {"rows": size.rows, "bytes": size.bytes} for name, size in summary.sizes.items()}
    return {
        "name": summary.name,
        "file": str(summary.file),
        "shipped": summary.shipped,
        "description": summary.description,
        "services": services,
        "bytes": summary.bytes,
        "seconds": round(summary.seconds, 1),
        "problem": summary.problem or None,
    }


def _row(summary: DatasetSummary) -> list[str]:
    origin = "envctl" if summary.shipped else str(summary.file.parent)
    if summary.problem:
        return [
            summary.name,
            origin,
            *[""] * (len(_HEADER) - 3),
            output.colour(f"cannot be loaded: {summary.problem}", fg="red"),
        ]
    counts = [f"{summary.sizes[name].rows:,}" if name in summary.sizes else "" for name in _COUNTED]
    sizes = [*counts, phrases.size(summary.bytes), _duration(summary.seconds)]
    return [summary.name, origin, *sizes, summary.description]


def _duration(seconds: float) -> str:
    """About so long, in one unit."""
    if seconds >= _HOUR:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _MINUTE:.0f} min" if seconds >= 2 * _MINUTE else f"{max(1, round(seconds))} s"

"""`envctl logs`."""

from __future__ import annotations

import datetime as dt
import time
import zlib
from typing import TYPE_CHECKING

import click

from envctl.cli import completion, output
from envctl.cli.options import Verb
from envctl.config.durations import seconds
from envctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from envctl.cli.run import Run
    from envctl.model import LogLine

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")


@click.command("logs", cls=Verb)
@click.argument("services", nargs=-1, metavar="[SERVICE]...", shell_complete=completion.services)
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--since", metavar="10m|TIME", help="For this long until now, or since an ISO-8601 time.")
@click.option("-n", "--tail", metavar="N|all", default="all", help="The last N lines of each service (all).")
@click.pass_obj
def logs_verb(run: Run, /, *, services: tuple[str, ...], follow: bool, since: str | None, tail: str) -> None:
    """Show the services' logs, merged.

    Of all services, or of those named; in the order of time.
    """
    from envctl import environment

    count, start = _tail(tail), _since(since)
    env = environment.attach(run.settings())
    write = _write_json if run.json else _writer(services or tuple(env.status().services))
    for line in env.logs(services, tail=count, since=start, follow=follow):
        write(line)
    run.result()


def _tail(text: str) -> int | None:
    if text == "all":
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    raise UsageError("--tail: a number of lines, or all", repr(text), "for example --tail 100")


def _since(text: str | None) -> float | None:
    """Unix time in seconds. An ISO time without a zone is local, as people mean it."""
    if text is None:
        return None
    try:
        return dt.datetime.fromisoformat(text).timestamp() if "-" in text else time.time() - seconds(text)
    except (ValueError, UsageError) as error:
        wanted = "--since: a duration such as 90s or 10m, or a time such as 2025-01-31T12:00:00"
        raise UsageError(wanted, repr(text), "for example --since 10m") from error


def _write_json(line: LogLine) -> None:
    output.show_json({"at": line.at, "event": "log", "service": line.service, "text": line.text}, compact=True)


def _writer(services: Iterable[str]) -> Callable[[LogLine], None]:
    """Lines behind their service's name; a service has the same colour in every run."""
    width = max(map(len, services), default=0)

    def write(line: LogLine) -> None:
        colour = _COLOURS[zlib.crc32(line.service.encode()) % len(_COLOURS)]
        output.show(f"{output.colour(f'{line.service:<{width}} |', fg=colour)} {line.text}")

    return write

"""`envctl status` and `envctl ls`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from envctl.cli import output, phrases
from envctl.cli.endpoints import overview
from envctl.cli.options import Verb

if TYPE_CHECKING:
    from envctl.cli.run import Run
    from envctl.environment import Environment
    from envctl.reports import EnvironmentSummary

EVERY = 1.0
"""Seconds between two looks of `--watch`; one look costs the engine under 10 ms."""

_CLEAR = "\x1b[H\x1b[2J"


@click.command("status", cls=Verb)
@click.option("--watch", is_flag=True, help="Again every second, until Ctrl-C.")
@click.pass_obj
def status_verb(run: Run, /, *, watch: bool) -> None:
    """Show services, states and addresses.

    For each service: state, address, time until it was ready, restarts, image and where that came from; then the
    faults in force and the dataset.
    """
    from envctl import environment

    env = environment.attach(run.settings())
    if watch:
        _watch(run, env)
    elif run.json:
        output.show_json(env.status().to_json())
    else:
        output.show(overview(env.status()))


@click.command("ls", cls=Verb)
@click.pass_obj
def ls_verb(run: Run, /) -> None:
    """List all environments on this engine."""
    from envctl import fleet

    found = fleet.list_environments()
    if run.json:
        output.show_json({"environments": [asdict(summary) for summary in found]})
    elif found:
        header = ["environment", "state", "services", "profiles", "owner", "created (UTC)", "goes in"]
        output.show(output.table(header, [_row(summary) for summary in found]))
    else:
        run.say(f"no environments; make one with `{run.command('up')}`")


def _watch(run: Run, env: Environment) -> None:
    from envctl import waiting

    while True:
        status = env.status()
        if run.json:
            output.show_json(status.to_json(), compact=True)
        else:
            output.show((_CLEAR if output.is_terminal() else "") + overview(status))
        waiting.pause(EVERY)


def _row(summary: EnvironmentSummary) -> list[str]:
    left = "" if summary.ttl_left is None else phrases.duration(max(0.0, summary.ttl_left) * 1000)
    names = [" ".join(summary.services), " ".join(summary.profiles)]
    return [summary.name, str(summary.state), *names, summary.owner, summary.created[:19].replace("T", " "), left]

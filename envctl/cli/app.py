"""The verbs by name, loaded when called: `envctl --help` must not cost what `envctl up` costs."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from envctl.cli import failures
from envctl.cli.options import Group, global_options
from envctl.cli.output import StdoutClosed
from envctl.cli.run import Run
from envctl.cli.signals import as_interrupt

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

# Heading -> verb -> (module under envctl.cli.verbs, one line of help). The line stands here so that the overview
# imports no verb; tests/unit/cli/test_app.py holds it against the verb's own help.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Up and down": {
        "up": ("up", "Bring services up and wait until each one answered."),
        "wait": ("up", "Wait until the services are ready again."),
        "down": ("down", "Take everything down and prove it gone."),
        "gc": ("down", "Remove what provably belongs to the dead."),
    },
    "Data": {
        "seed": ("seed", "Load a dataset, or compare what is there with it."),
        "datasets": ("datasets", "List the datasets that can be loaded."),
    },
    "Use": {
        "env": ("env", "Print connection data for a shell, a program or CI."),
        "shell": ("inside", "Open a service's own client, logged in."),
        "exec": ("inside", "Run a command in a service's container."),
    },
    "Chaos": {
        "chaos": ("chaos", "Hurt a service: every fault bites, heals and leaves proof."),
    },
    "Look": {
        "status": ("status", "Show services, states and addresses."),
        "logs": ("logs", "Show the services' logs, merged."),
        "ls": ("status", "List all environments on this engine."),
    },
    "Machine": {
        "doctor": ("doctor", "Tell whether envctl will work here, and mend it."),
        "images": ("images", "List, build, pull or prune images."),
        "version": ("about", "Show envctl's version."),
        "completion": ("about", "Print the completion script of a shell."),
    },
}
VERBS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}

FIRST_MINUTE = """\b
The first minute:
  envctl doctor                            will it work here?
  envctl up --profile core                 PostgreSQL and Redis, ready when it returns
  eval "$(envctl env --format shell)"      DATABASE_URL, REDIS_URL, … for your tests
  envctl down                              everything gone, and proof of it"""


class Verbs(Group):
    """The group whose commands are imported by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every verb, in the order of the overview."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, imported now; None for an unknown verb."""
        del ctx
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(import_module(f"envctl.cli.verbs.{VERBS[cmd_name][0]}"), f"{cmd_name}_verb")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, by section."""
        del ctx
        for heading, verbs in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, line) for name, (_, line) in verbs.items()])


def _show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        from envctl.version import __version__

        click.echo(f"envctl {__version__}")
        ctx.exit()


envctl = Verbs(
    "envctl",
    params=[
        *global_options(),
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_show_version,
            help="Show the version.",
        ),
    ],
    help="Real services for tests, on Docker Compose: truly ready, provably gone.",
    epilog=FIRST_MINUTE,
    subcommand_metavar="VERB ...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main(arguments: Sequence[str] | None = None, *, held: Collection[signal.Signals] = ()) -> int:
    """Run one command line; `arguments` default to the process's own. Returns the exit code, never raises.

    `held` are signals that the caller has blocked; they are let in when somebody listens to them.
    """
    if "_ENVCTL_COMPLETE" in os.environ:
        _complete()
    # Read when Arrow is loaded, if it is. Its own allocator keeps up to 60 MB more, and is no faster here (measured).
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Also errors made while parsing are told in the form that was asked for.
    flags = given[: given.index("--")] if "--" in given else given
    run = Run(json="--json" in flags, debug="--debug" in flags)
    with as_interrupt():
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
            return _invoke(given, run)
        except StdoutClosed:
            return 0
        except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:  # noqa: BLE001 - the last resort: told
            return failures.report(error, run)


def _invoke(arguments: list[str], run: Run) -> int:
    try:
        with envctl.make_context("envctl", arguments, obj=run) as context:
            answer: Any = envctl.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    return int(answer or 0)


def _complete() -> NoReturn:
    """Answer the shell's completion script, in click's way."""
    envctl.main(prog_name="envctl")
    sys.exit(0)

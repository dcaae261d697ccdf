"""`envctl exec` and `envctl shell`: the terminal goes to a program in the container."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from envctl.cli import completion
from envctl.cli.options import Verb
from envctl.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.cli.run import Run


@click.command("exec", cls=Verb, context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False})
@click.argument("service", shell_complete=completion.services)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD...")
@click.pass_obj
def exec_verb(run: Run, /, *, service: str, command: tuple[str, ...]) -> NoReturn:
    """Run a command in a service's container.

    Ends with the command's exit code. A terminal is given to it when stdin is one.
    """
    from envctl import environment

    words = command[1:] if command[0] == "--" else command
    if not words:
        raise click.UsageError("a command to run is missing", click.get_current_context())
    env = environment.attach(run.settings())
    become(env.exec_argv(service, list(words), interactive=_at_terminal()))


@click.command("shell", cls=Verb)
@click.argument("service", shell_complete=completion.services)
@click.pass_obj
def shell_verb(run: Run, /, *, service: str) -> NoReturn:
    """Open a service's own client, logged in.

    psql, redis-cli and the like, in the container, with the app identity's credentials.
    """
    from envctl import environment

    argv, variables = environment.attach(run.settings()).shell_argv(service, interactive=_at_terminal())
    become(argv, variables)


def _at_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def become(argv: Sequence[str], variables: Mapping[str, str] | None = None) -> NoReturn:
    """Turn this process into that program: signals, terminal and exit code are then its own, and no memory is held.

    Raises:
        EngineError: the program is not there.

    """
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    try:
        os.execvpe(argv[0], list(argv), {**os.environ, **(variables or {})})  # noqa: S606 - no shell on purpose
    except OSError as error:
        found = f"{error.strerror}: {argv[0]}"
        raise EngineError(f"to run {argv[0]}", found, "`envctl doctor` says what is missing") from error

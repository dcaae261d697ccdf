"""`envctl env`: connection data for a shell, a program or CI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from envctl.cli import formats, output
from envctl.cli.options import Verb
from envctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.cli.run import Run


@click.command("env", cls=Verb)
@click.option(
    "--format", "form", type=click.Choice(["dotenv", "json", "shell", "github"]), default="dotenv", show_default=True
)
@click.pass_obj
def env_verb(run: Run, /, *, form: str) -> None:
    """Print connection data for a shell, a program or CI.

    The names are those that libraries read by themselves, for the app identity. `github` appends to the file that
    $GITHUB_ENV names and masks the secrets in the job's log; the others print:

    \b
      eval "$(envctl env --format shell)"
      envctl env > .env
    """  # noqa: D301 - backslash-b is click's mark for lines to keep as they are
    from envctl import environment

    target = _github_file() if form == "github" else None
    env = environment.attach(run.settings())
    variables = env.variables()
    if target is not None:
        _hand_to_github(target, variables, env.secret_variables())
    elif form == "json" or run.json:
        output.show_json(dict(variables))
    else:
        output.show(formats.shell(variables) if form == "shell" else formats.dotenv(variables))


def _github_file() -> Path:
    name = os.environ.get("GITHUB_ENV")
    if name:
        return Path(name)
    raise UsageError(
        "GITHUB_ENV, the name of the file that later steps read",
        "it is not set: this is no GitHub Actions job",
        "use --format shell or dotenv outside of GitHub Actions",
    )


def _hand_to_github(target: Path, variables: Mapping[str, str], secret: frozenset[str]) -> None:
    """Mask first: whatever prints a secret later in this step is covered already."""
    for line in formats.github_masks([variables[name] for name in sorted(secret) if name in variables]):
        output.show(line)
    try:
        with target.open("ab+") as file:
            file.write(_end_of_line(file) + formats.github(variables).encode())
    except OSError as error:
        raise UsageError(f"to append to {target} (GITHUB_ENV)", str(error.strerror), "check the job's file") from error


def _end_of_line(file: IO[bytes]) -> bytes:
    """What the file's last line lacks: an earlier step may have written it without an end."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 1))
    return b"" if file.read() in {b"", b"\n"} else b"\n"

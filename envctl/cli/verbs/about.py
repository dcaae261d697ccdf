"""`envctl version` and `envctl completion`."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import click

from envctl.cli import output
from envctl.cli.options import Verb
from envctl.version import __version__

if TYPE_CHECKING:
    from envctl.cli.run import Run


@click.command("version", cls=Verb)
@click.pass_obj
def version_verb(run: Run, /) -> None:
    """Show envctl's version."""
    if run.json:
        output.show_json({"envctl": __version__, "python": platform.python_version()})
    else:
        output.show(f"envctl {__version__} (Python {platform.python_version()})")


@click.command("completion", cls=Verb)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_verb(shell: str) -> None:
    """Print the completion script of a shell.

    \b
      bash:  eval "$(envctl completion bash)"       in ~/.bashrc
      zsh:   eval "$(envctl completion zsh)"        in ~/.zshrc
      fish:  envctl completion fish > ~/.config/fish/completions/envctl.fish
    """  # noqa: D301 - backslash-b is click's mark for lines to keep as they are
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    if script is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    output.show(script(click.get_current_context().find_root().command, {}, "envctl", "_ENVCTL_COMPLETE").source())

"""Options that every verb takes, before or after its name, and the class of verbs that takes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from envctl.errors import UnknownName

if TYPE_CHECKING:
    from envctl.cli.run import Run

EVERYWHERE = "Also: --env NAME, --config FILE, --json, -q, -v, --debug (see `envctl --help`)."


def global_options(*, hidden: bool = False) -> list[click.Option]:
    """The options of INTERFACE §1 that belong to no verb; their values go into the `Run`."""

    def option(names: list[str], text: str, **more: Any) -> click.Option:  # noqa: ANN401 - click's own arguments
        return click.Option(names, help=text, hidden=hidden, expose_value=False, callback=_remember, **more)

    return [
        option(["--env"], "The environment; else the configured name, else the folder's.", metavar="NAME"),
        option(
            ["--config"],
            "Configuration file; else envctl.yaml or [tool.envctl], searched upwards.",
            type=click.Path(path_type=Path),
            metavar="FILE",
        ),
        option(["--json"], "Machine-readable output on stdout.", is_flag=True),
        option(["-q", "--quiet"], "Errors only.", is_flag=True),
        option(["-v", "--verbose"], "Every event.", is_flag=True),
        option(["--debug"], "Tracebacks of errors.", is_flag=True),
    ]


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> None:
    run: Run | None = ctx.find_root().obj
    if run is None or not value or param.name is None:  # None: click completes a line and runs nothing
        return
    setattr(run, param.name, value)
    if run.quiet and run.verbose:
        raise click.UsageError("--quiet and --verbose exclude each other", ctx)


class Verb(click.Command):
    """A verb: takes the global options too, so that nobody has to know where they belong."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own arguments
        kwargs.setdefault("epilog", EVERYWHERE)
        super().__init__(*args, **kwargs)
        self.params += global_options(hidden=True)


class Group(click.Group):
    """A group of verbs that tells the nearest name for one that it does not have."""

    command_class = Verb
    kind = "verb"
    """What a name of this group is called where it does not exist."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click.

        Raises:
            UnknownName: no such verb.

        """
        known = self.list_commands(ctx)
        if not ctx.resilient_parsing and args[0] not in known and not args[0].startswith("-"):
            raise UnknownName(self.kind, args[0], known)
        return super().resolve_command(ctx, args)

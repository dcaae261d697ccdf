"""One run of the command line: the options that every verb takes, the settings, and how results are shown."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from envctl.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.cli.views import View
    from envctl.config import Settings


@dataclass
class Run:
    """The global options, filled in while the arguments are parsed (they may stand before or after the verb)."""

    env: str | None = None
    config: Path | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    debug: bool = False

    def settings(self, *, files_exist: bool = False, **options: object) -> Settings:
        """The settings of this run from its options, the environment and the configuration file.

        Raises:
            ConfigurationError: with every problem of every source.

        """
        from envctl.config import load

        given = {"name": self.env, **options}
        return load(given, cwd=Path.cwd(), environ=os.environ, config_file=self.config, files_exist=files_exist)

    @contextmanager
    def watching(self, *, plain: bool = False) -> Iterator[None]:
        """Show every event of the block as it happens, in the form that this run asks for; `plain`: as lines, also on a
        terminal.
        """
        from envctl.events import listening

        with self._view(plain=plain) as view, listening(view):
            yield

    def say(self, text: str) -> None:
        """Words for people about work that was done: not with `--quiet`, not with `--json`."""
        if not (self.quiet or self.json):
            with suppress(output.StdoutClosed):  # the work is done; that nobody reads about it undoes nothing
                output.show(text)

    def result(self, **data: object) -> None:
        """The last JSON line of a verb that took time and succeeded."""
        if self.json:
            with suppress(output.StdoutClosed):
                output.show_event("result", {"ok": True, "exit_code": 0, **data})

    def command(self, verb: str) -> str:
        """A command line to advise: `verb` on the same environment from the same place."""
        env = ["--env", self.env] if self.env else []
        config = ["--config", str(self.config)] if self.config else []
        return " ".join(["envctl", *env, *config, verb])

    def _view(self, *, plain: bool) -> View:
        from envctl.cli import views

        if self.json:
            return views.JsonLines()
        if self.quiet:
            return views.Silent()
        if plain or self.verbose or not output.is_terminal():
            return views.Lines(details=self.verbose)
        # rich costs 50 ms to import, and a pipe or CI never needs it.
        from envctl.cli.live import LiveTable

        return LiveTable()

"""How a run ends that did not succeed: what was wanted, what was found, what to do; and the exit code."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from envctl.cli import output
from envctl.errors import EnvctlError, Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.cli.run import Run


def report(error: BaseException, run: Run) -> int:
    """Say what went wrong on stderr, and with `--json` as the result on stdout. Returns the exit code.

    A traceback appears with `--debug` only.
    """
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        output.complain(error.format_message())
        return UsageError.exit_code
    if run.debug:
        import traceback

        output.complain("".join(traceback.format_exception(error)).rstrip())
    errors = [_known(leaf) for leaf in _leaves(error)]
    for known in errors:
        output.complain(click.style("error: ", fg="red") + str(known) if _coloured() else f"error: {known}")
    # The first failure is the cause, the others came while cleaning up; leaks are told by their own code only when
    # nothing else went wrong.
    exit_code = errors[0].exit_code
    if run.json:
        with suppress(output.StdoutClosed):
            output.show_event("result", {"ok": False, **_data(errors), "exit_code": exit_code})
    return exit_code


def _coloured() -> bool:
    return output.is_terminal()


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group one by one, in order; an error that is none is its own only leaf."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _known(error: BaseException) -> EnvctlError:
    """Any exception as one of ours, with wanted, found and advice."""
    if isinstance(error, EnvctlError):
        return error
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return Interrupted("interrupted")
    if isinstance(error, click.ClickException):
        return _usage(error)
    found = f"{type(error).__name__}: {error}".rstrip(": ")
    return EnvctlError("something unexpected happened", found, "run again with --debug and report what it shows")


def _usage(error: click.ClickException) -> UsageError:
    """What click refused, with the nearest option's name or the way to the help."""
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "envctl"
    advice = f"read `{path} --help`"
    if isinstance(error, click.NoSuchOption):
        near = f"did you mean {error.possibilities[0]!r}? or " if error.possibilities else ""
        return UsageError(f"no option of `{path}` is named {error.option_name!r}", advice=near + advice)
    return UsageError(error.format_message().rstrip("."), advice=advice)


def _data(errors: list[EnvctlError]) -> dict[str, object]:
    more = [error.data() for error in errors[1:]]
    return {**errors[0].data(), **({"more": more} if more else {})}

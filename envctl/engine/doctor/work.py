"""How `fix` works: one command at a time, said before, timed, and with a clear error when it fails."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envctl.engine.doctor.finding import Action
from envctl.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

STEP_TIMEOUT = 600
"""Seconds for one command: installing the engine takes 25 s on a good line."""

LAST_LINES = 8
"""Lines of a failing command's output that make it into the error."""


@dataclass
class Work:
    """One run of `fix`: where to say what is done, and what was done so far."""

    report: Callable[[str], None]
    actions: list[Action] = field(default_factory=list)

    def step(self, what: str, command: Sequence[str], *, advice: str, shown: str = "", cwd: Path | None = None) -> str:
        """Run one command that changes something; its output. `shown` is its readable form, where it has one.

        Raises:
            EngineError: it failed; with its last lines.

        """
        shown = shown or shlex.join(command)
        self.report(f"{what}: {shown}")
        started = time.monotonic()
        answer = attempt(command, cwd=cwd)
        if answer.returncode != 0:
            raise EngineError(what, f"`{shown}` failed: {tail(answer.stdout)}", advice)
        self.did(what, shown, started)
        return answer.stdout

    def did(self, what: str, command: str, started: float) -> None:
        """Note one thing done. `started` is a time of `time.monotonic()`."""
        self.actions.append(Action(what, command, time.monotonic() - started))
        self.report(f"{what}: done in {self.actions[-1].seconds:.1f} s")


def attempt(
    command: Sequence[str], *, cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command with both streams in `stdout`, in English and asking nothing; whatever its exit code.

    Raises:
        EngineError: it cannot be started, or took longer than `STEP_TIMEOUT`.

    """
    env = {**(environ or os.environ), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=STEP_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        found = f"not done after {STEP_TIMEOUT} s"
        raise EngineError(f"run `{shlex.join(command)}`", found, "run it by hand to see where it hangs") from error
    except OSError as error:
        found = error.strerror or str(error)
        raise EngineError(f"run `{shlex.join(command)}`", found, f"install {command[0]}") from error


def tail(output: str) -> str:
    """The last lines of a failing program's output, as one block."""
    lines = [line for line in output.splitlines() if line.strip()][-LAST_LINES:]
    return "".join(f"\n         | {line}" for line in lines) or "it said nothing"

"""The commands that a scenario runs on this machine, with the variables of `envctl env`."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from envctl.errors import redact

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from envctl.scenarios.host import Host

_KEPT = 4000
"""Bytes of a command's output that are looked at: its last."""

_GRACE = 5.0
"""Seconds from SIGTERM to SIGKILL."""


class Programs:
    """Runs commands in a folder."""

    def __init__(self, env: Host, folder: Path) -> None:
        variables = env.variables()
        self.secrets = frozenset(variables[name] for name in env.secret_variables() if name in variables)
        self._environ = {**os.environ, **variables}
        self._folder = folder

    def start(self, words: Sequence[str]) -> Program:
        """Start one, in a process group of its own.

        Raises:
            OSError: there is no such program.

        """
        return Program(words, self._folder, self._environ, self.secrets)

    def run(self, words: Sequence[str], timeout: float) -> tuple[int, str]:
        """Run one to its end; its exit code and the end of its output. One that takes too long is killed.

        Raises:
            TimeoutError: it took longer than `timeout` seconds.
            OSError: there is no such program.

        """
        program = self.start(words)
        if not program.wait(timeout):
            program.kill()
            raise TimeoutError(f"did not end within {timeout:g} s{': ' * bool(program.output)}{program.output}")
        return program.code, program.output


class Program:
    """One running command. Its output goes into a file: a pipe that nobody reads would stop it."""

    def __init__(self, words: Sequence[str], folder: Path, environ: dict[str, str], secrets: frozenset[str]) -> None:
        self._secrets = secrets
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `_over`
        self._told = ""
        try:
            self._process = subprocess.Popen(
                list(words),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environ,
                start_new_session=True,
            )
        except OSError:
            self._output.close()
            raise

    @property
    def code(self) -> int:
        """Its exit code; of one that a signal ended, 128 and the signal's number."""
        code = self._process.returncode
        return 128 - code if code < 0 else code

    @property
    def output(self) -> str:
        """The end of what it printed, without secrets."""
        if not self._output.closed:
            size = self._output.seek(0, os.SEEK_END)
            self._output.seek(max(0, size - _KEPT))
            self._told = redact(self._output.read().decode("utf-8", "replace").strip(), self._secrets)
        return self._told

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; whether it has."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            self._over()
            return True
        return False

    def end(self) -> None:
        """Tell it, and what it started, to end: SIGTERM."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it and what it started, kindly first."""
        self.end()
        if not self.wait(_GRACE):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self.wait(_GRACE)

    def _over(self) -> None:
        if not self._output.closed:
            _ = self.output
            self._output.close()

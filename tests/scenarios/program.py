"""A program in a scene: started from outside, heard through files, ended however the test wants."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE = 120.0
"""Seconds until something that should come counts as missing; machines that run tests are busy."""


@dataclass(frozen=True)
class Said:
    """How a program ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything that it said."""
        return self.out + self.err

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON
        """Its one JSON document."""
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class Program:
    """A process in a session of its own, as a shell or a CI job starts one; what it says goes to files."""

    def __init__(self, command: list[str], folder: Path, environ: Mapping[str, str]) -> None:
        self.command = command
        self._files: tuple[IO[str], ...] = tuple(
            (folder / f"{name}-{secrets.token_hex(4)}").open("w+") for name in ("out", "err")
        )
        out, err = self._files
        self.process = subprocess.Popen(
            command, cwd=folder, env=environ, stdin=subprocess.PIPE, stdout=out, stderr=err, start_new_session=True
        )

    def lasts(self, seconds: float) -> bool:
        """Whether it is still running after so long; returns as soon as it ends."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def kill(self) -> None:
        """SIGKILL to this process alone, as when memory runs out: its children live on."""
        self.process.kill()
        self.process.wait()

    def signal(self, number: int, *, everyone: bool = False) -> None:
        """A signal to this process, or to its whole group as a terminal's Ctrl-C."""
        if everyone:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def said(self) -> tuple[str, str]:
        """What it has said until now, on stdout and stderr."""
        return tuple(Path(file.name).read_text() for file in self._files)  # type: ignore[return-value]

    def finish(self, exits: int | None = 0) -> Said:
        """Wait for its end; the exit code must be `exits` (None: any), and nobody may have seen a traceback."""
        assert self.process.stdin
        self.process.stdin.close()
        code = self.process.wait(PATIENCE * 5)
        said = Said(code, *self.said())
        print(f"$ {' '.join(self.command)}\n{said.text}[exit code {code}]")
        assert "Traceback" not in said.text, said.text
        assert exits in {None, code}, f"exit code {code}, not {exits}:\n{said.text}"
        return said

    def close(self) -> None:
        """End it and its children, however it stands."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()
        for file in self._files:
            file.close()

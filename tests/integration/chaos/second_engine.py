"""An engine of a test's own, with the services of an environment on it, that may be ended and started again.

It is a `dockerd` in namespaces of its own (network, mounts, processes): it touches nothing of the machine's engine, and
its data is in memory. Published ports are on the 127.0.0.1 of that network: envctl runs there, too, with its warden.
All of it goes with their first process, which ends when the test does, however that happens.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from envctl.config import Settings
from envctl.engine.connect import locate
from envctl.engine.docker_engine import DockerEngine
from envctl.engine.images import build_all
from envctl.images import workshop
from envctl.journal import Journal
from envctl.protocols import NotReady
from envctl.state import StateFolder
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 120.0
_FIRST = """
mount -t tmpfs -o size=1g tmpfs /run && ip link set lo up && echo ready && read -r _
kill -KILL -1
until [ -z "$(find /sys/fs/cgroup -maxdepth 2 -name $0)" ]; do
    find /sys/fs/cgroup -depth -type d -path "*/$0*" -exec rmdir {} + 2> /dev/null || sleep 0.1
done
"""
"""Tidies up when its standard input ends; control groups stay until all that was in them is buried."""
_NAMESPACES = ("--net", "--mount", "--pid")
_ROOT = Path(__file__).parents[3]


class SecondEngine:
    """Not started yet. `name` is the environment's."""

    def __init__(self, name: str, folder: Path, first: int) -> None:
        self.name, self._folder, self._first = name, folder, first
        self._daemon: subprocess.Popen[bytes] | None = None
        self._options: tuple[str, ...] | None = None
        self.url = f"unix://{folder}/s"
        self._state = folder / "state"
        self.environ = {**os.environ, "DOCKER_HOST": self.url, "XDG_STATE_HOME": str(self._state)}

    def start(self, *options: str) -> None:
        """Start it, and wait until it answers."""
        self._options = options
        fixed = f"--data-root /run/data -H {self.url} --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent"
        words = ["dockerd", *fixed.split(), f"/{self.name}", *options]
        with (self._folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen([*self._enter, *words], stdout=log, stderr=log)
        until(self._answers, PATIENCE, "the second engine")

    def have(self, *options: str) -> None:
        """Have it run with these options, and the services on it."""
        alive = self._daemon is not None and self._daemon.poll() is None
        if alive and options != self._options:
            self.end()
        if not alive or options != self._options:
            self.start(*options)
        done = self.envctl("up", "--service", "redis", "--ports", "auto")
        assert done.returncode == 0, done.stderr

    def bury(self) -> None:
        """Wait until it is gone, with its namespaces."""
        if self._daemon is not None:
            self._daemon.wait(PATIENCE)

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal, and wait until it is gone."""
        assert self._daemon is not None
        _send(self._daemon, by)
        self._daemon.wait(PATIENCE)

    def load(self, *images: str) -> None:
        """Bring images of this machine's engine there, with what they stand on."""
        shop = workshop(Settings(name=self.name), DockerEngine(locate()))
        build_all(shop, images)
        tags = [str(shop.catalogue[name].tag.tagged) for name in ("base", *images)]
        with subprocess.Popen(["docker", "save", *tags], stdout=subprocess.PIPE) as saved:
            subprocess.run(["docker", "--host", self.url, "load", "--quiet"], stdin=saved.stdout, check=True)
        shop.api.close()

    def envctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a verb on the environment."""
        command = [*self._enter, sys.executable, "-m", "envctl", "--env", self.name, *words]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False)

    @contextmanager
    def client(self, program: str) -> Iterator[Client]:
        """A Python program there that answers questions; killed afterwards."""
        command = [*self._enter, sys.executable, "-c", program, self.name]
        with subprocess.Popen(
            command, env=self.environ, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            one = Client(process)
            try:
                yield one
            finally:
                one.kill()

    @property
    def journal(self) -> Journal:
        """As it is on the disk."""
        return Journal(StateFolder(self.name, self._state / "envctl"))

    def await_idle(self) -> None:
        """Wait until nothing works in the surgeon any more: what was killed has to be buried, too."""

        def idle() -> None:
            if left := {name for name in self._names() if name.startswith(("e-", "envctl-packets"))}:
                raise NotReady(f"still there: {left}")

        until(idle, PATIENCE, "the surgeon idle")

    def _names(self) -> set[str]:
        """Of all processes on it."""
        command = [*self._enter, "sh", "-c", "cat /proc/[0-9]*/comm 2>&-; true"]
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())

    def _answers(self) -> None:
        assert self._daemon is not None
        assert self._daemon.poll() is None, (self._folder / "log").read_text()
        command = ["docker", "--host", self.url, "version"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.returncode:
            raise NotReady(asked.stderr)

    @property
    def _enter(self) -> list[str]:
        return ["nsenter", "--target", str(self._first), *_NAMESPACES]


class Client:
    """A program that reads expressions of Python, a line each, and writes their values as JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, expression: str) -> Any:  # noqa: ANN401 - its JSON
        """What it is."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(expression + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def kill(self) -> None:
        """With SIGKILL; idempotent."""
        if self._process.poll() is None:
            _send(self._process, signal.SIGKILL)
            self._process.wait(PATIENCE)


@contextmanager
def second_engine(folder: Path) -> Iterator[SecondEngine]:
    """The namespaces, and an engine that is not started yet; nothing is left of them."""
    name = f"second-{secrets.token_hex(4)}"
    made = ["unshare", *_NAMESPACES, "--fork", "--mount-proc", "bash", "-c", _FIRST, name]
    with subprocess.Popen(made, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as outer:
        assert outer.stdin is not None
        assert outer.stdout is not None
        assert outer.stdout.readline() == b"ready\n"
        (first,) = psutil.Process(outer.pid).children()
        engine = SecondEngine(name, folder, first.pid)
        try:
            yield engine
        finally:
            outer.stdin.close()
            engine.bury()


def _send(entered: subprocess.Popen[Any], what: signal.Signals) -> None:
    """A signal to the program there: what runs here only waits for it."""
    for program in psutil.Process(entered.pid).children():
        program.send_signal(what)

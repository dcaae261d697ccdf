"""Compose, driven by python-on-whales: render a model, bring it up. Taking down needs no compose (teardown.py)."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from envctl.engine.connect import OLDEST_COMPOSE
from envctl.errors import ConfigurationError, DiskFull, EngineError, EnvctlError, Problem, redact
from envctl.waiting import pause

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from python_on_whales import DockerClient

    from envctl.engine.connect import Address

_PORT_LOST = re.compile(
    # Three texts for one thing: another process holds it, another container does, and the same since Engine 28; the
    # address before the port is 127.0.0.1, or what a file of the user's says.
    r"(?:listen tcp[46]? |Bind for |failed to bind host port (?:for )?)(?:[\d.]+|\[[\da-f:.]*\]|::):(\d+)"
    r"(?:: bind: address already in use| failed: port is already allocated|[:/])"
)

_NO_COMPOSE = re.compile(
    # The docker CLI without the plugin takes compose's arguments for its own, in words of several versions.
    r"is not a docker command|unknown command: docker compose|unknown shorthand flag|unknown flag: --file|No such file"
)

_SETTLING = 1.0
"""Seconds for an engine to finish what a killed compose had asked of it: containers were seen to appear afterwards."""

_LEAST = _LAST_WORD = 30.0
"""Seconds that compose has for its work, however little time is left, and to end by itself when it is interrupted: what
it waits for may never come.
"""


class PortLost(EnvctlError):
    """A host port was taken between its choice and the start of its container."""

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(f"host port {port}", "somebody took it while the container started", "run `envctl up` again")


@dataclass(frozen=True, slots=True)
class Rendering:
    """What compose needs to render: project, files, profiles, and 0600 files of variables, later ones winning."""

    project: str
    files: Sequence[Path]
    profiles: Sequence[str]
    env_files: Sequence[Path]
    directory: Path | None = None


class Compose:
    """Compose at one engine."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def render(self, rendering: Rendering) -> dict[str, Any]:
        """The model as `docker compose config` resolves it: profiles applied, `$` still escaped as `$$`.

        Raises:
            ConfigurationError: compose refuses the files; says which, where and why.
            EngineError: there is no compose, or it is too old.

        """
        import python_on_whales.exceptions

        client = self._client(rendering)
        try:
            model: dict[str, Any] = client.compose.config(return_json=True)
        except python_on_whales.exceptions.DockerException as error:
            raise self._refused(error, rendering) from error
        return model

    def up(
        self, rendering: Rendering, secrets: Iterable[str], timeout: float | None = None, *, recreate: bool = False
    ) -> None:
        """Create and start what is missing or changed, without pulling; the user's own builds are made. Compose waits
        for nothing but what a `depends_on` of the user's has as its condition.

        Raises:
            TimeoutError: it was not done within `timeout` seconds, at least 30, and was ended.
            PortLost: a port was taken in between; choose again.
            EnvctlError: the engine refuses; in its words, with `secrets` removed.

        """
        import python_on_whales.exceptions

        client = self._client(rendering)
        try:
            # In a thread, whose end the interrupted main thread waits for: killing the docker CLI would leave its
            # compose plugin alive, which goes on making networks and containers behind the cleanup's back.
            with ThreadPoolExecutor(1) as worker:
                done = worker.submit(client.compose.up, detach=True, pull="never", quiet=True, force_recreate=recreate)
                try:
                    done.result(None if timeout is None else max(timeout, _LEAST))
                except BaseException as error:
                    if wait([done], 0 if isinstance(error, TimeoutError) else _LAST_WORD).not_done:
                        end_orphans(rendering.project)
                    raise
        except python_on_whales.exceptions.DockerException as error:
            raise _not_started(redact(_words(error), secrets)) from error

    def _client(self, rendering: Rendering) -> DockerClient:
        from python_on_whales import DockerClient

        # A variable of the caller's shell would silently win over the env files, so ours are unset for compose.
        ours = sorted(name for name in os.environ if re.fullmatch(r"ENVCTL_(SECRET_\w+|\w+_(PORT|IMAGE))", name))
        unset = ["env", *(part for name in ours for part in ("-u", name))] if ours else []
        return DockerClient(
            client_call=[*unset, "docker"],
            compose_files=list(rendering.files),
            compose_profiles=list(rendering.profiles),
            compose_env_files=list(rendering.env_files),
            compose_project_name=rendering.project,
            compose_project_directory=rendering.directory,
            host=None if self._address.chosen else self._address.url,
        )

    def _refused(self, error: Exception, rendering: Rendering) -> EnvctlError:
        """Why `config` failed: no compose, too old, or the files."""
        words = _words(error)
        if _NO_COMPOSE.search(words):
            return no_compose("there is no compose plugin")
        if "property include is not allowed" in words:
            return no_compose("this compose does not know `include`")
        named = next((file for file in rendering.files if str(file) in words), None) or _unreadable(rendering.files)
        return ConfigurationError([Problem(words, file=named)], "compose files that compose accepts")


def end_orphans(project: str) -> None:
    """Kill every compose on this machine that still brings `project` up, and let the engine finish what it began.

    It outlives the process that started it (the docker CLI leaves its plugin behind when it is killed), and would go
    on making what is being removed. For whoever holds the environment alone.
    """
    import psutil

    found = [process for process in psutil.process_iter(["cmdline"]) if _brings_up(process.info["cmdline"], project)]
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(found, timeout=2)
    if found:
        pause(_SETTLING)


def _brings_up(words: Sequence[str] | None, project: str) -> bool:
    """Whether a command line is that of `compose … --project-name PROJECT … up …`."""
    words = words or ()
    named = any(pair == ("--project-name", project) for pair in pairwise(words))
    return named and "compose" in words and "up" in words


def _unreadable(files: Sequence[Path]) -> Path | None:
    """The first file that is no YAML: of that, compose tells the line but not the file."""
    import yaml

    for file in files:
        try:
            list(yaml.parse(file.read_bytes()))
        except yaml.YAMLError:
            return file
        except OSError:
            continue  # compose tells that one by its name
    return None


def no_compose(found: str) -> EngineError:
    """The error for a compose that is missing or too old."""
    oldest = ".".join(map(str, OLDEST_COMPOSE))
    return EngineError(f"docker compose {oldest} or newer", found, "let `envctl doctor --fix` find one")


def _words(error: Exception) -> str:
    """What the program said, without the command line."""
    stderr = getattr(error, "stderr", None) or b""
    text = stderr if isinstance(stderr, str) else stderr.decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip() and "level=warning" not in line]
    return "\n".join(lines) or str(error).splitlines()[0]


def _not_started(words: str) -> EnvctlError:
    """Why `up` failed, as one of ours."""
    if lost := _PORT_LOST.search(words):
        return PortLost(int(lost[1]))
    last = "\n         ".join(words.splitlines()[-5:])
    if "no space left on device" in words.lower():
        return DiskFull("containers created", last, "make room on the engine's disk; `envctl doctor` shows it")
    if "address pool" in words and ("could not find an available" in words or "fully subnetted" in words):
        return EngineError("a network for the environment", last, "free one: `envctl ls`, `envctl gc`")
    return EnvctlError("containers created and started", last, "see `envctl doctor`, then run `envctl up` again")


def quoted(value: str) -> str:
    """A value as compose's env files want it, whatever it holds."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n")
    return f'"{escaped}"'

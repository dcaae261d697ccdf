"""What faults do to containers: signals, pauses, starts and stops; and the surgeon, which reaches into them (see
`sidecars`).
"""

from __future__ import annotations

import json
import math
import secrets
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from envctl.engine.docker_engine import within
from envctl.engine.doctor.kernel import PROGRAM
from envctl.engine.operating import Operating
from envctl.engine.sidecars import MECHANIC, SURGEON, WITNESS, Sidecars, do
from envctl.model import ExecResult
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from envctl.engine.conversation import Conversation
    from envctl.engine.docker_engine import DockerEngine
    from envctl.engine.images import Workshop

Abilities = dict[str, tuple[bool | None, str]]

_LONGEST = 120.0
"""Seconds for a command, or for the engine's memory. An engine (20.10) may keep the stream of a command open for ever
whose container was removed.
"""

_TRY = """
import subprocess, sys
subprocess.run(["unshare", "--net", "python3", "-c", sys.argv[1]], check=True)
"""
"""Tries what a kernel can do, in a scratch namespace."""


class Hands:
    """Acts on containers by id; each is idempotent where the engine's is. `shop` builds the surgeon's image where it
    is missing.

    What it finds out about the kernel is kept in the file `notes`, for the next process.

    Raises (all methods): EngineError when the engine cannot be asked, or refuses; NotReady where the container is not
    there, or not in a state in which this can be done.
    """

    def __init__(self, engine: DockerEngine, shop: Callable[[], Workshop], notes: Path | None = None) -> None:
        self._engine, self._sidecars = engine, Sidecars(engine, shop)
        self._operating = Operating(partial(self._sidecars.get, kind=SURGEON), self._conversation)
        self._mending = Operating(partial(self._sidecars.get, kind=MECHANIC), self._conversation)
        self._abilities: dict[str, Abilities] = {}
        self._notes = notes

    def kill(self, container: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the main process. To the engine that is a stop by hand: no restart policy acts after it."""
        do(lambda: self._engine.api.kill(container, signal))

    def pause(self, container: str) -> None:
        """Freeze all of its processes."""
        do(lambda: self._engine.api.pause(container))

    def unpause(self, container: str) -> None:
        """Let them go on."""
        do(lambda: self._engine.api.unpause(container))

    def start(self, container: str) -> None:
        """Start a stopped one; one that runs is fine."""
        do(lambda: self._engine.api.start(container))

    def stop(self, container: str, grace: float) -> None:
        """Ask it to end, and kill it after `grace` seconds; one that is stopped is fine."""
        do(lambda: self._engine.api.stop(container, timeout=math.ceil(grace)))

    def restart(self, container: str, grace: float) -> None:
        """Stop as `stop`, then start."""
        do(lambda: self._engine.api.restart(container, timeout=math.ceil(grace)))

    def inspect(self, container: str) -> dict[str, Any]:
        """All that the engine says of it."""
        return dict(do(lambda: self._engine.api.inspect_container(container)))

    def signals_since(self, container: str, when: float) -> list[str]:
        """The numbers of the signals that the engine has sent to its main process since then, a Unix time in seconds
        by the engine's clock; as far back as the engine remembers (256 events).
        """
        # In fractions of a second, which the engine understands: with an end in the future it would wait for that.
        since, until = cast("Any", when), cast("Any", time.time())
        filters = {"container": container, "event": "kill"}
        api = self._engine.api
        try:
            told = within(_LONGEST, lambda: do(lambda: list(api.events(since, until, filters, decode=True))), "events")
        except TimeoutError as error:
            raise NotReady(f"the engine has told no signals within {_LONGEST:g} s") from error
        return [event["Actor"]["Attributes"]["signal"] for event in told]

    def set_restart_policy(self, container: str, policy: Mapping[str, Any]) -> None:
        """`{"Name": "always", "MaximumRetryCount": 0}`, as `inspect` shows it under HostConfig.RestartPolicy."""
        do(lambda: self._engine.api.update_container(container, restart_policy=cast("Any", policy)))

    def execute(
        self,
        container: str,
        command: Sequence[str],
        *,
        user: str = "root",
        environment: Mapping[str, str] | None = None,
        timeout: float = _LONGEST,
    ) -> ExecResult:
        """Run a command in a container, by default as root, and wait for it; secrets go into `environment`. A busy
        engine (20.10) loses all that it says once in some hundreds.

        Raises:
            NotReady: it has not ended within `timeout` seconds; it runs on, if its container does.

        """
        api, variables = self._engine.api, dict(environment or {})
        created = do(lambda: api.exec_create(container, list(command), user=user, environment=variables))
        try:
            output = do(lambda: within(timeout, lambda: api.exec_start(created["Id"]), " ".join(command[:1])))
        except TimeoutError as error:
            raise NotReady(f"{command[0]} has not ended within {timeout:g} s") from error
        code = do(lambda: api.exec_inspect(created["Id"]))["ExitCode"]
        return ExecResult(-1 if code is None else int(code), output.decode(errors="replace"))

    def spawn(self, container: str, command: Sequence[str], *, user: str = "root") -> None:
        """Start a command in a container and leave it to itself."""
        api = self._engine.api
        created = do(lambda: api.exec_create(container, list(command), user=user))
        do(lambda: api.exec_start(created["Id"], detach=True))

    def pid(self, container: str) -> int:
        """The main process's id as the engine's machine, and so the surgeon, sees it.

        Raises:
            NotReady: it does not run.

        """
        found = int(self.inspect(container)["State"]["Pid"])
        if not found:
            raise NotReady("its container does not run")
        return found

    def surgeon(self, environment: str) -> str:
        """The id of the environment's surgeon, which runs; made where it is missing.

        Raises:
            FaultUnfit: the engine does not allow it.

        """
        return self._sidecars.get(environment, SURGEON).id

    def surgeon_pid(self, environment: str) -> int:
        """Its main process, which tells one surgeon from the next."""
        return self._sidecars.get(environment, SURGEON).pid

    def witness(self, environment: str) -> int:
        """A process in the network namespace of the engine's machine, by its id as the surgeon sees it.

        Raises:
            FaultUnfit: the engine does not allow it.

        """
        return self._sidecars.get(environment, WITNESS).pid

    def operate(
        self, environment: str, command: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> ExecResult:
        """Run a command in the surgeon and wait for it; secrets go into its environment, `variables`."""
        told = self.operation(environment, "commands.run", command=list(command), variables=dict(variables or {}))
        return ExecResult(told["code"], told["output"])

    def operation(self, environment: str, name: str, /, **arguments: object) -> Any:  # noqa: ANN401 - its JSON
        """Run `module.function` of `envctl.engine.operations` in the surgeon; what it returned.

        An operation may run twice, where the connection to it breaks.

        Raises:
            NotReady: it failed; with its last line.

        """
        return self._operating.call(environment, name, arguments)

    def mend(self, environment: str, name: str, /, **arguments: object) -> Any:  # noqa: ANN401 - its JSON
        """As `operation`, by who may make disks (see `operations.power`)."""
        return self._mending.call(environment, name, arguments)

    def ask(self, environment: str, command: Sequence[str], variables: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401
        """Run a command in the surgeon; its last line, read as JSON.

        Raises:
            NotReady: it failed, or said nothing; with its last line.

        """
        done = self.operate(environment, command, variables)
        last = done.output.strip().rpartition("\n")[2]
        if done.exit_code or not last:
            raise NotReady(last or f"the program ended with code {done.exit_code}")
        return json.loads(last)

    def abilities(self, environment: str) -> Abilities:
        """What the engine's kernel can do to networks, tried out (see `doctor.kernel_probe`): name → able, what the
        system said. Tried once for each surgeon.
        """
        surgeon = self.surgeon(environment)
        if surgeon not in self._abilities:
            self._abilities |= self._noted()
        if surgeon not in self._abilities:
            self._abilities[surgeon] = self.ask(environment, ["python3", "-c", _TRY, PROGRAM.read_text()])
            self._note({surgeon: self._abilities[surgeon]})
        return self._abilities[surgeon]

    def _noted(self) -> dict[str, Abilities]:
        """What another process has found; nothing where it cannot be read."""
        with suppress(OSError, ValueError):
            return dict(json.loads(self._notes.read_text())) if self._notes else {}
        return {}

    def _note(self, found: Mapping[str, Abilities]) -> None:
        """For other processes; where nothing can be written they find it out themselves."""
        if self._notes and self._notes.parent.is_dir():
            with suppress(OSError):
                fresh = self._notes.with_suffix(f".{secrets.token_hex(4)}")
                fresh.write_text(json.dumps(found))
                fresh.replace(self._notes)

    def converse(self, environment: str, command: Sequence[str]) -> Conversation:
        """Start a program in the surgeon and talk with it; it must end when its standard input does."""
        return self._conversation(self.surgeon(environment), command)

    def _conversation(self, surgeon: str, command: Sequence[str]) -> Conversation:
        from envctl.engine.conversation import Conversation

        api = self._engine.api
        created = do(lambda: api.exec_create(surgeon, list(command), user="root", stdin=True))
        return do(lambda: Conversation(api, created["Id"]))  # type: ignore[no-any-return]

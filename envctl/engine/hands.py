"""What faults do to containers: signals, pauses, starts and stops; and the surgeon, which reaches into them.

The surgeon is one small container for each environment, of the image `envctl/tools`, in the engine's own process
namespace, with the rights that it takes to trace, limit and signal the processes of other containers. It carries the
environment's label, so that `down` removes it with the rest.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from envctl.engine import operations
from envctl.engine.docker_engine import within
from envctl.engine.images import build_all
from envctl.errors import EngineError, FaultUnfit
from envctl.model import CONFIG_LABEL, ENVIRONMENT_LABEL, ROLE_LABEL, ExecResult, State
from envctl.protocols import NotReady
from envctl.version import __version__
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from envctl.engine.conversation import Conversation
    from envctl.engine.docker_engine import DockerEngine
    from envctl.engine.images import Workshop

TOOLS = "tools"
SURGEON = "surgeon"
_CONFLICT, _NOT_MODIFIED = 409, 304
_LONGEST = 120.0
"""Seconds for a command. The engine (20.10) may keep the stream of one open for ever whose container was removed."""
_RIGHTS = ("SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN")
"""What the surgeon needs beyond the engine's defaults: namespaces and cgroups, other processes, their networks."""


class Hands:
    """Acts on containers by id; each is idempotent where the engine's is. `shop` builds the surgeon's image where it
    is missing.

    Raises (all methods): EngineError when the engine cannot be asked, or refuses; NotReady where the container is not
    there, or not in a state in which this can be done.
    """

    def __init__(self, engine: DockerEngine, shop: Callable[[], Workshop]) -> None:
        self._engine, self._shop = engine, shop

    def kill(self, container: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the main process. To the engine that is a stop by hand: no restart policy acts after it."""
        self._do(lambda: self._engine.api.kill(container, signal))

    def pause(self, container: str) -> None:
        """Freeze all of its processes."""
        self._do(lambda: self._engine.api.pause(container))

    def unpause(self, container: str) -> None:
        """Let them go on."""
        self._do(lambda: self._engine.api.unpause(container))

    def start(self, container: str) -> None:
        """Start a stopped one; one that runs is fine."""
        self._do(lambda: self._engine.api.start(container))

    def stop(self, container: str, grace: float) -> None:
        """Ask it to end, and kill it after `grace` seconds; one that is stopped is fine."""
        self._do(lambda: self._engine.api.stop(container, timeout=math.ceil(grace)))

    def restart(self, container: str, grace: float) -> None:
        """Stop as `stop`, then start."""
        self._do(lambda: self._engine.api.restart(container, timeout=math.ceil(grace)))

    def inspect(self, container: str) -> dict[str, Any]:
        """All that the engine says of it."""
        return dict(self._do(lambda: self._engine.api.inspect_container(container)))

    def signals_since(self, container: str, when: float) -> list[str]:
        """The numbers of the signals that the engine has sent to its main process since then, a Unix time in seconds
        by the engine's clock; as far back as the engine remembers (256 events).
        """
        # In fractions of a second, which the engine understands: with an end in the future it would wait for that.
        since, until = cast("Any", when), cast("Any", time.time())
        filters = {"container": container, "event": "kill"}
        events = self._do(lambda: list(self._engine.api.events(since, until, filters, decode=True)))
        return [event["Actor"]["Attributes"]["signal"] for event in events]

    def set_restart_policy(self, container: str, policy: Mapping[str, Any]) -> None:
        """`{"Name": "always", "MaximumRetryCount": 0}`, as `inspect` shows it under HostConfig.RestartPolicy."""
        self._do(lambda: self._engine.api.update_container(container, restart_policy=cast("Any", policy)))

    def execute(
        self,
        container: str,
        command: Sequence[str],
        *,
        user: str = "root",
        environment: Mapping[str, str] | None = None,
        timeout: float = _LONGEST,
    ) -> ExecResult:
        """Run a command in a container, by default as root, and wait for it; secrets go into `environment`.

        Raises:
            NotReady: it has not ended within `timeout` seconds; it runs on, if its container does.

        """
        api, variables = self._engine.api, dict(environment or {})
        created = self._do(lambda: api.exec_create(container, list(command), user=user, environment=variables))
        try:
            output = self._do(lambda: within(timeout, lambda: api.exec_start(created["Id"]), " ".join(command[:1])))
        except TimeoutError as error:
            raise NotReady(f"{command[0]} has not ended within {timeout:g} s") from error
        code = self._do(lambda: api.exec_inspect(created["Id"]))["ExitCode"]
        return ExecResult(-1 if code is None else int(code), output.decode(errors="replace"))

    def spawn(self, container: str, command: Sequence[str], *, user: str = "root") -> None:
        """Start a command in a container and leave it to itself."""
        api = self._engine.api
        created = self._do(lambda: api.exec_create(container, list(command), user=user))
        self._do(lambda: api.exec_start(created["Id"], detach=True))

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
        name = f"envctl-{environment}-{SURGEON}"
        import docker.errors

        api = self._engine.api
        with suppress(docker.errors.NotFound):
            found = self._ask(lambda: api.inspect_container(name))
            # One that another version of envctl made may lack what this one's faults bring along.
            ours = found["Config"]["Labels"].get(CONFIG_LABEL) == __version__
            if ours and found["State"]["Running"]:
                return str(found["Id"])
            if ours and found["State"]["Status"] == State.CREATED:
                # Another process is about to start it, unless it died in between.
                with suppress(TimedOut):
                    return until(lambda: self._running(name), 5, "the surgeon")
            self._do(lambda: api.remove_container(found["Id"], force=True))
        return self._ask(lambda: self._hire(environment, name))  # type: ignore[no-any-return]

    def operate(self, environment: str, command: Sequence[str]) -> ExecResult:
        """Run a command in the surgeon and wait for it."""
        return self.execute(self.surgeon(environment), command)

    def operation(self, environment: str, name: str, /, **arguments: object) -> Any:  # noqa: ANN401 - its JSON
        """Run `module.function` of `envctl.engine.operations` in the surgeon; what it returned.

        An operation may run twice: once in many hundreds a busy engine (20.10) loses all that a command said.

        Raises:
            NotReady: it failed; with its last line.

        """
        surgeon, command = self.surgeon(environment), operations.command(name, arguments)
        answer = self._answer(surgeon, command) or self._answer(surgeon, command)
        if not answer:
            raise NotReady(f"the surgeon said nothing when it was asked for {name}")
        return json.loads(answer)

    def _answer(self, surgeon: str, command: Sequence[str]) -> bytes:
        api = self._engine.api
        created = self._do(lambda: api.exec_create(surgeon, list(command), user="root"))
        # Apart, so that no word of a program that it runs gets into the answer.
        answer, said = self._do(lambda: api.exec_start(created["Id"], demux=True))
        if code := self._do(lambda: api.exec_inspect(created["Id"]))["ExitCode"]:
            raise NotReady((said or b"").decode(errors="replace").strip().rpartition("\n")[2] or f"exit code {code}")
        return answer or b""

    def operate_python(self, environment: str, program: str, *arguments: object) -> Any:  # noqa: ANN401 - its JSON
        """Run a Python program (standard library's smallest part) in the surgeon; what it printed, read as JSON.

        Raises:
            NotReady: it failed; with its last line.

        """
        done = self.operate(environment, ["python3", "-c", program, *map(str, arguments)])
        if done.exit_code:
            raise NotReady(done.output.strip().rpartition("\n")[2] or f"exit code {done.exit_code}")
        return json.loads(done.output or "null")

    def converse(self, environment: str, command: Sequence[str]) -> Conversation:
        """Start a program in the surgeon and talk with it; it must end when its standard input does."""
        from envctl.engine.conversation import Conversation

        api, surgeon = self._engine.api, self.surgeon(environment)
        created = self._do(lambda: api.exec_create(surgeon, list(command), user="root", stdin=True))
        return self._do(lambda: Conversation(api, created["Id"]))  # type: ignore[no-any-return]

    def _hire(self, environment: str, name: str) -> str:
        import docker.errors

        api = self._engine.api
        host = api.create_host_config(
            pid_mode="host",
            network_mode="none",
            cgroupns="host" if self._knows_cgroup_namespaces() else None,
            # Named one by one: an engine that lacks a single capability gives `privileged` to nobody.
            cap_add=list(_RIGHTS),
            security_opt=["apparmor=unconfined", "seccomp=unconfined"],
            binds={"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}},
            init=True,
        )
        labels = {ENVIRONMENT_LABEL: environment, ROLE_LABEL: SURGEON, CONFIG_LABEL: __version__}
        try:
            made = api.create_container(
                self._image(), ["sleep", "infinity"], name=name, labels=labels, host_config=host
            )
            api.start(made["Id"])
        except docker.errors.APIError as error:
            if error.status_code == _CONFLICT:
                # Another process makes it in this moment.
                return until(lambda: self._running(name), 30, "the surgeon")
            said = str(error.explanation or error)
            raise FaultUnfit(
                "a helper container with the rights to reach into others", said, "this engine allows none"
            ) from error
        return str(made["Id"])

    def _knows_cgroup_namespaces(self) -> bool:
        return tuple(map(int, self._engine.api.version()["ApiVersion"].split("."))) >= (1, 41)

    def _running(self, name: str) -> str:
        import docker.errors

        try:
            found = self._ask(lambda: self._engine.api.inspect_container(name))
        except docker.errors.NotFound as error:
            raise NotReady("it is gone again") from error
        if not found["State"]["Running"]:
            raise NotReady("it does not run yet")
        return str(found["Id"])

    def _image(self) -> str:
        """The tag of the tools image, which is there now."""
        shop = self._shop()
        build_all(shop, [TOOLS])
        return str(shop.catalogue[TOOLS].tag.tagged)

    def _do(self, request: Callable[[], Any]) -> Any:  # noqa: ANN401 - the SDK's answers are untyped JSON
        """One request; what the engine refuses for the container's state may be tried again."""
        import docker.errors

        try:
            return self._ask(request)
        except docker.errors.APIError as error:
            said = str(error.explanation or error)
            if error.status_code in {404, 409}:
                raise NotReady(said) from error
            raise EngineError("an act on a container", said, "see the engine's own log") from error

    def _ask(self, request: Callable[[], Any]) -> Any:  # noqa: ANN401
        """One request; its own refusals pass through, an engine that went away is an EngineError."""
        import docker.errors
        import requests.exceptions

        try:
            return request()
        except docker.errors.APIError:
            raise
        except requests.exceptions.RequestException as error:
            raise EngineError(
                "an answer of the engine", str(error), "is it running? `envctl doctor` says more"
            ) from error

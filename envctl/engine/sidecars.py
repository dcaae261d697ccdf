"""The small containers that work beside an environment's services, of the image `envctl/tools`.

They carry the environment's label, so that `down` removes them with the rest; each is made where it is missing, once,
also when several processes want it at the same moment.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from envctl.engine.images import build_all
from envctl.errors import EngineError, FaultUnfit
from envctl.model import CONFIG_LABEL, ENVIRONMENT_LABEL, ROLE_LABEL, State
from envctl.protocols import NotReady
from envctl.version import __version__
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from envctl.engine.docker_engine import DockerEngine
    from envctl.engine.images import Workshop

TOOLS = "tools"
_CONFLICT = 409


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One kind: its role, and the engine's words for what it may and sees."""

    role: str
    options: Callable[[], dict[str, Any]]


class Found(NamedTuple):
    """A sidecar that runs: its id, and its main process's id as the engine's machine, and so the surgeon, sees it."""

    id: str
    pid: int


def _surgeon() -> dict[str, Any]:
    return {
        "pid_mode": "host",
        "network_mode": "none",
        # Named one by one: an engine that lacks a single capability gives `privileged` to nobody. What it needs beyond
        # the engine's defaults: namespaces and cgroups, other processes, their networks.
        "cap_add": ["SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN"],
        "security_opt": ["apparmor=unconfined", "seccomp=unconfined"],
        "binds": {"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}},
        "init": True,
    }


SURGEON = Sidecar("surgeon", _surgeon)
"""Reaches into other containers: it has the engine's process namespace, and the rights to trace, limit and signal their
processes and to change their networks.
"""


def _mechanic() -> dict[str, Any]:
    return {**_surgeon(), "devices": ["/dev/loop-control"], "device_cgroup_rules": ["b 7:* rwm"]}


MECHANIC = Sidecar("mechanic", _mechanic)
"""Gives containers a disk whose power can fail: a surgeon that may make loop devices."""

WITNESS = Sidecar("witness", lambda: {"network_mode": "host", "cap_drop": ["ALL"], "init": True})
"""Holds the door to the network of the engine's machine, from where the surgeon measures what comes from there. It has
no right at all: nothing of the machine can be changed through it.
"""


class Sidecars:
    """Those of all environments on one engine; `shop` builds their image where it is missing."""

    def __init__(self, engine: DockerEngine, shop: Callable[[], Workshop]) -> None:
        self._engine, self._shop = engine, shop

    def get(self, environment: str, kind: Sidecar) -> Found:
        """The environment's one of that kind, which runs.

        Raises:
            FaultUnfit: the engine does not allow it.

        """
        import docker.errors

        name, api = f"envctl-{environment}-{kind.role}", self._engine.api
        with suppress(docker.errors.NotFound):
            found = ask(lambda: api.inspect_container(name))
            # One that another version of envctl made may lack what this one's faults bring along.
            ours = found["Config"]["Labels"].get(CONFIG_LABEL) == __version__
            if ours and found["State"]["Running"]:
                return _found(found)
            if ours and found["State"]["Status"] == State.CREATED:
                # Another process is about to start it, unless it died in between.
                with suppress(TimedOut):
                    return until(lambda: self._running(name), 5, f"the {kind.role}")
            do(lambda: api.remove_container(found["Id"], force=True))
        ask(lambda: self._hire(environment, kind, name))
        return self._running(name)

    def _hire(self, environment: str, kind: Sidecar, name: str) -> None:
        import docker.errors

        api, options = self._engine.api, kind.options()
        if options.get("pid_mode") == "host" and self._knows_cgroup_namespaces():
            options["cgroupns"] = "host"
        labels = {ENVIRONMENT_LABEL: environment, ROLE_LABEL: kind.role, CONFIG_LABEL: __version__}
        try:
            host = api.create_host_config(**options)
            made = api.create_container(
                image(self._shop()), ["sleep", "infinity"], name=name, labels=labels, host_config=host
            )
            self._start(made["Id"])
        except docker.errors.APIError as error:
            if error.status_code == _CONFLICT:
                # Another process makes it in this moment.
                until(lambda: self._running(name), 30, f"the {kind.role}")
                return
            said = str(error.explanation or error)
            raise FaultUnfit(
                "a helper container with the rights to reach into others", said, "this engine allows none"
            ) from error

    def _start(self, made: str) -> None:
        """Start it; what cannot start is not left, since who finds it waits for it."""
        import docker.errors

        try:
            self._engine.api.start(made)
        except docker.errors.APIError:
            with suppress(docker.errors.APIError):
                self._engine.api.remove_container(made, force=True)
            raise

    def _knows_cgroup_namespaces(self) -> bool:
        return tuple(map(int, self._engine.api.version()["ApiVersion"].split("."))) >= (1, 41)

    def _running(self, name: str) -> Found:
        import docker.errors

        try:
            found = ask(lambda: self._engine.api.inspect_container(name))
        except docker.errors.NotFound as error:
            raise NotReady("it is gone again") from error
        if not found["State"]["Running"]:
            raise NotReady("it does not run yet")
        return _found(found)


def _found(inspected: dict[str, Any]) -> Found:
    return Found(str(inspected["Id"]), int(inspected["State"]["Pid"]))


def image(shop: Workshop) -> str:
    """The tag of the sidecars' image, which is there now."""
    build_all(shop, [TOOLS])
    return str(shop.catalogue[TOOLS].tag.tagged)


def do(request: Callable[[], Any]) -> Any:  # noqa: ANN401 - the SDK's answers are untyped JSON
    """One request to the engine; what it refuses for a container's state may be tried again (NotReady)."""
    import docker.errors

    try:
        return ask(request)
    except docker.errors.APIError as error:
        said = str(error.explanation or error)
        if error.status_code in {404, 409}:
            raise NotReady(said) from error
        raise EngineError("an act on a container", said, "see the engine's own log") from error


def ask(request: Callable[[], Any]) -> Any:  # noqa: ANN401
    """One request; the engine's own refusals pass through, an engine that went away is an EngineError."""
    import docker.errors
    import requests.exceptions

    try:
        return request()
    except docker.errors.APIError:
        raise
    except requests.exceptions.RequestException as error:
        raise EngineError("an answer of the engine", str(error), "is it running? `envctl doctor` says more") from error

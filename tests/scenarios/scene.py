"""A scene: environments of one test, driven from outside by command lines and programs, seen through the engine."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import docker
import docker.errors
import psutil

from envctl.protocols import NotReady
from envctl.waiting import until
from tests.scenarios.program import PATIENCE, Program, Said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")

ENVCTL = (sys.executable, "-m", "envctl")
SCENE_LABEL = "envctl-test.scene"

LISTENER = """
import socket, sys
server = socket.create_server(("127.0.0.1", {port}))
print("listens", flush=True)
sys.stdin.read()
"""

ONE_SCENE = """
import sys
from envctl import fleet
from envctl.cli import main
from envctl.engine.docker_engine import DockerEngine
class OneScene(DockerEngine):
    def resources(self, environment=None):
        return tuple(r for r in super().resources(environment) if r.environment.startswith("{scene}"))
    def containers(self, environment=None):
        return tuple(c for c in super().containers(environment) if c.environment.startswith("{scene}"))
fleet.DockerEngine = OneScene
sys.exit(main())
"""
"""envctl that finds the environments of one scene alone: others use the engine too, and theirs are not ours to end."""


NEVER_READY = """
services:
  never: {image: 'envctl/base:trixie', init: true, command: [sleep, infinity], labels: {envctl.ready.exec: 'exit 1'}}
"""


class Scene:
    """The environment of one test (and others whose names begin with its name), its folders and its programs."""

    def __init__(self, folder: Path, engine: docker.DockerClient) -> None:
        self.name = f"scene-{secrets.token_hex(4)}"
        self.engine = engine
        self.folder, self.state = folder / "work", folder / "state"
        self.folder.mkdir()
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ENVCTL_")}
        # Standard ports belong to whoever uses this machine; tests about them ask for ports of their own.
        own = {"XDG_STATE_HOME": str(self.state), "ENVCTL_ENV": self.name, "ENVCTL_PORTS": "auto"}
        self.environ = {**kept, **own}
        self._programs: list[Program] = []

    @staticmethod
    def step(sentence: str) -> None:
        """What happens next, for whoever reads the output of a failure."""
        print(f"\n# {sentence}")

    def configure(self, text: str) -> Path:
        """Write the configuration file."""
        file = self.folder / "envctl.yaml"
        file.write_text(text)
        return file

    def start(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Program:
        """Start a command line of envctl."""
        return self.program(*ENVCTL, *arguments, environ=environ)

    def envctl(self, *arguments: str, exits: int | None = 0, environ: Mapping[str, str] | None = None) -> Said:
        """Run a command line of envctl to its end."""
        return self.start(*arguments, environ=environ).finish(exits)

    def python(self, text: str) -> Program:
        """Start a Python program of a user's."""
        return self.program(sys.executable, "-c", text)

    def program(self, *command: str, environ: Mapping[str, str] | None = None) -> Program:
        """Start any program in the scene's folder."""
        self._programs.append(Program(list(command), self.folder, {**self.environ, **(environ or {})}))
        return self._programs[-1]

    def eventually(self, look: Callable[[], T]) -> T:
        """`look` until its assertions hold; its value then."""

        def probe() -> T:
            try:
                return look()
            except AssertionError as reason:
                raise NotReady(str(reason)) from reason

        return until(probe, PATIENCE, "what the test waits for")

    def hears(self, program: Program, words: str) -> None:
        """Wait until a program has said something."""

        def look() -> None:
            assert words in "".join(program.said())

        self.eventually(look)

    def holds(self, port: int) -> Program:
        """A foreign process that listens on a port."""
        program = self.python(LISTENER.format(port=port))
        self.hears(program, "listens")
        return program

    def image(self, service: str) -> str:
        """The image that envctl uses for a service here."""
        images = self.envctl("images", "list", "--json").document["images"]
        return str(next(image["reference"] for image in images if image["service"] == service))

    def never_ready(self) -> tuple[str, str]:
        """Options by which `up` waits until somebody ends it: nobody has to be quicker than the services."""
        file = self.folder / "never-ready.yaml"
        file.write_text(NEVER_READY)
        return "--file", str(file)

    def lose_state(self) -> None:
        """Delete the state of all environments."""
        shutil.rmtree(self.state / "envctl")

    @contextmanager
    def read_only_state(self) -> Iterator[Callable[..., Program]]:
        """Starts command lines of envctl that cannot write into the state folder, whoever runs them."""
        if os.getuid():
            folders = [self.state / "envctl", self.state / "envctl" / self.name]
            for folder in folders:
                folder.chmod(0o500)
            yield self.start
            for folder in folders:
                folder.chmod(0o700)
        else:
            # Permissions do not bind root: a read-only mount, seen by these programs alone, does.
            bind = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
            yield lambda *args: self.program("unshare", "-m", "sh", "-c", bind, str(self.state), *ENVCTL, *args)

    def stranger(self, **options: Any) -> Any:  # noqa: ANN401 - the SDK's options and container
        """A running container that is not envctl's."""
        name, labels = f"{self.name}-stranger-{secrets.token_hex(2)}", {SCENE_LABEL: self.name}
        return self.engine.containers.run(
            self.image("redis"),
            ["sleep", "600"],
            entrypoint=[],
            detach=True,
            init=True,
            name=name,
            labels=labels,
            **options,
        )

    def containers(self, name: str = "") -> dict[str, Any]:
        """The containers of an environment by service, as the engine has them now; helpers are none's."""
        labels = [f"envctl.environment={name or self.name}", "com.docker.compose.service"]
        found = self.engine.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
        return {container.labels["com.docker.compose.service"]: container for container in found}

    def ids(self, name: str = "") -> dict[str, str]:
        """The id of each service's container."""
        return {service: container.id for service, container in self.containers(name).items()}

    def resources(self) -> list[Any]:
        """Every container, network and volume of this scene."""
        everything = [
            *self.engine.containers.list(all=True, ignore_removed=True),
            *self.engine.networks.list(),
            *self.engine.volumes.list(),
        ]
        return [thing for thing in everything if self._is_ours(_labels(thing))]

    def helpers(self, name: str = "") -> list[psutil.Process]:
        """Processes with an environment's name in their arguments: guardians, compose, envctl itself."""
        mine = {program.process.pid for program in self._programs}
        found = psutil.process_iter(["cmdline", "status"])
        alive = [p for p in found if p.info["status"] != psutil.STATUS_ZOMBIE and p.pid not in mine]
        return [p for p in alive if any((name or self.name) in word for word in p.info["cmdline"] or [])]

    def traces(self) -> list[str]:
        """What is left of the scene's environments: on the engine, as processes, as state."""
        processes = [f"process {p.pid} {' '.join(p.info['cmdline'])}" for p in self.helpers()]
        states = [str(path) for path in self.state.glob("envctl/*/")]
        strangers = [thing for thing in self.resources() if SCENE_LABEL in _labels(thing)]
        return [f"{r!r} {r.name}" for r in self.resources() if r not in strangers] + processes + states

    def is_gone(self) -> None:
        """Nothing is left of the scene's environments."""
        assert self.traces() == []

    def is_clean(self) -> None:
        """As `is_gone`, but for a folder with nothing in it but the lock of a process that was killed."""
        locks = {str(path) for path in self.state.glob("envctl/*/") if {f.name for f in path.iterdir()} <= {"lock"}}
        assert not {*self.traces()} - locks

    def for_all(self, *arguments: str, exits: int | None = 0) -> Said:
        """A command line about all environments, on an engine that has none but this scene's."""
        return self.program(sys.executable, "-c", ONE_SCENE.format(scene=self.name), *arguments).finish(exits)

    def gc(self, *options: str) -> Any:  # noqa: ANN401 - JSON
        """The result of `envctl gc`."""
        return self.for_all("gc", "--json", *options).events[-1]

    def is_free(self, port: int) -> bool:
        """Whether nobody listens on a port."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return probe.connect_ex(("127.0.0.1", port)) != 0

    def _is_ours(self, labels: Mapping[str, str]) -> bool:
        names = (labels.get("envctl.environment"), labels.get("com.docker.compose.project"), labels.get(SCENE_LABEL))
        return any((name or "").removeprefix("envctl-").startswith(self.name) for name in names)

    def close(self) -> None:
        """Remove whatever the test left, without envctl; fails when something cannot be removed."""
        complaints = [*self._complaints()]
        for program in self._programs:
            program.close()
        self.eventually(self._quiet)
        self.eventually(self._swept)
        assert not any(complaints), f"a guardian or a warden complained: {complaints}"

    def _complaints(self) -> Iterator[str]:
        for log in self.state.glob("envctl/*/*.log"):
            with suppress(FileNotFoundError):  # it went with its environment
                yield log.read_text()

    def _quiet(self) -> None:
        """Nobody makes anything any more, not even whom a helper had just started."""
        for process in (left := self.helpers()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        assert not left

    def _swept(self) -> None:
        for thing in self.resources():
            options = {"v": True, "force": True} if hasattr(thing, "kill") else {}
            with suppress(docker.errors.APIError):
                thing.remove(**options)
        left = self.resources()
        assert not left, f"left by the test: {left}"


def _labels(thing: Any) -> Mapping[str, str]:  # noqa: ANN401 - the SDK's containers, networks and volumes
    return thing.attrs.get("Labels") or thing.attrs.get("Config", {}).get("Labels") or {}

"""Users' own services as they run: the rules against real containers and the engine's real port proxy."""

from __future__ import annotations

import secrets
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from envctl.engine.connect import locate
from envctl.engine.docker_engine import DockerEngine
from envctl.model import Endpoint
from envctl.protocols import NotReady
from envctl.services.labelled import Labelled
from envctl.waiting import until
from tests.integration.services.conftest import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

IMAGE = "envctl/redis:8"
MODEL = {"ports": [{"target": 6379}]}
SHELL = ("sh", "-c")
WAITS = 'until [ -e /tmp/go ]; do sleep 0.05; done; exec docker-entrypoint.sh redis-server --save ""'


@pytest.fixture(scope="module")
def engine() -> DockerEngine:
    """The engine of this machine."""
    return DockerEngine(locate())


@contextmanager
def container(*options: str, command: str = WAITS) -> Iterator[str]:
    """A container that becomes a Redis as soon as it finds /tmp/go; its port is published from the first moment."""
    name = f"svctest-labelled-{secrets.token_hex(4)}"
    with ExitStack() as undo:
        docker("network", "create", name)
        undo.callback(docker, "network", "rm", name)
        docker("create", "--name", name, "--network", name, "-p", "127.0.0.1::6379", *options, IMAGE, *SHELL, command)
        undo.callback(docker, "rm", "-f", "-v", name)
        docker("start", name)
        yield name


def docker(*arguments: str) -> str:
    """The docker client's answer."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def release(name: str) -> None:
    """Let the Redis of a container start."""
    docker("exec", name, "touch", "/tmp/go")  # noqa: S108 - in the container


def described(engine: DockerEngine, name: str, labels: Mapping[str, str]) -> tuple[Labelled, Endpoint]:
    """The service and where it is."""
    port = int(docker("port", name, "6379/tcp").rsplit(":", 1)[1])
    service = Labelled.from_labels("mine", labels, MODEL, engine=engine, observe=lambda: engine.container(name))
    return service, Endpoint("mine", "127.0.0.1", {"mine": port})


@pytest.mark.parametrize(
    "labels",
    [
        {"envctl.ready.tcp": ":6379"},
        {"envctl.ready.log": "Ready to accept connections"},
        {"envctl.ready.exec": "redis-cli -e ping | grep -qx PONG"},
    ],
    ids=["tcp", "log", "exec"],
)
def test_a_rule_holds_when_the_server_is_there_and_not_before(engine: DockerEngine, labels: Mapping[str, str]) -> None:
    """While nothing listens in the container its published port takes connections all the same."""
    with container() as name:
        service, at = described(engine, name, labels)
        socket.create_connection((at.host, at.port), 1).close()
        with pytest.raises(NotReady):
            service.ping(at, 2)
        release(name)
        until(lambda: service.ping(at, 2), PATIENCE, "ready")


def test_an_http_rule_wants_http(engine: DockerEngine) -> None:
    """Redis closes the connection of a client that speaks HTTP: that is an answer, but not the wanted one."""
    with container() as name:
        service, at = described(engine, name, {"envctl.ready.http": ":6379/"})
        release(name)
        until(lambda: described(engine, name, {"envctl.ready.tcp": ":6379"})[0].ping(at, 2), PATIENCE, "up")
        with pytest.raises(NotReady, match="GET /"):
            service.ping(at, 2)


def test_the_healthcheck_is_used_where_there_is_no_label(engine: DockerEngine) -> None:
    """Ready when it passes."""
    # So many failures that it is starting for as long as it takes until it is asked.
    check = ("--health-cmd", "redis-cli ping", "--health-interval", "500ms", "--health-retries", "10000")
    with container(*check) as name:
        service, at = described(engine, name, {})
        with pytest.raises(NotReady, match="healthcheck says starting"):
            service.ping(at, 2)
        release(name)
        until(lambda: service.ping(at, 2), PATIENCE, "healthy")


def test_a_container_without_any_sign_is_ready_when_it_keeps_running(engine: DockerEngine) -> None:
    """Not at the first look."""
    with container() as name:
        service, at = described(engine, name, {})
        with pytest.raises(NotReady, match="without a restart"):
            service.ping(at, 2)
        until(lambda: service.ping(at, 2), PATIENCE, "settled")


def test_a_container_that_restarts_over_and_over_is_never_ready(engine: DockerEngine) -> None:
    """However often it is seen running."""
    with container("--restart", "always", command="sleep 0.3; exit 1") as name:
        service, at = described_without_port(engine, name)

        def broken() -> None:
            with pytest.raises(NotReady):
                service.ping(at, 2)
            seen = engine.container(name)
            if seen is None or seen.restarts < 3:
                raise NotReady("too few restarts yet")

        until(broken, PATIENCE, "three restarts, never ready")


def described_without_port(engine: DockerEngine, name: str) -> tuple[Labelled, Endpoint]:
    """As `described`, for a container whose port comes and goes."""
    service = Labelled.from_labels("mine", {}, {}, engine=engine, observe=lambda: engine.container(name))
    return service, Endpoint("mine", "127.0.0.1", {})


def test_a_command_that_hangs_is_ended(engine: DockerEngine) -> None:
    """The attempt ends in time, and leaves no process behind in the container."""
    with container() as name:
        service, at = described(engine, name, {"envctl.ready.exec": "sleep 4242"})
        with pytest.raises(NotReady, match="'sleep 4242' ended with 124"):
            service.ping(at, 1)

        def ended() -> None:
            if "sleep 4242" in (left := docker("top", name)):
                raise NotReady(left)

        until(ended, PATIENCE, "the command's end")

"""One service at a time, started by plain `docker compose` as a user would without envctl."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envctl import protocols
from envctl.model import Endpoint, Identity
from envctl.waiting import Deadline, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

PATIENCE = 180.0
"""Seconds until something that should come counts as missing; machines that run tests are busy."""

ANSWER = 30.0
"""Seconds for one answer of a server that is there: it comes at once, unless somebody else has the processors."""

COMPOSE_FILE = Path(__file__).parents[3] / "compose" / "compose.yaml"


@dataclass
class Running:
    """Services of one throw-away compose project, seen from the host and through the engine."""

    project: str
    endpoints: Mapping[str, Endpoint]
    environ: Mapping[str, str] = field(repr=False)
    services: Mapping[str, protocols.Service] = field(default_factory=dict)

    @property
    def at(self) -> Endpoint:
        """The endpoint of the first service."""
        return next(iter(self.endpoints.values()))

    @property
    def service(self) -> protocols.Service:
        """The first service."""
        return next(iter(self.services.values()))

    def docker(self, *arguments: str, check: bool = True) -> str:
        """Run the docker client; both output streams."""
        done = subprocess.run(
            ["docker", *arguments],
            env=dict(self.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"docker {' '.join(arguments)}: {done.returncode}\n{done.stdout}")
        return done.stdout

    def compose(self, *arguments: str) -> str:
        """Run compose on this project."""
        return self.docker("compose", "-f", str(COMPOSE_FILE), "-p", self.project, *arguments)

    def container(self, service: str = "") -> str:
        """The container's name of one service, by default of the first."""
        return f"{self.project}-{service or self.at.service}-1"

    def execute(self, *command: str, service: str = "", environ: Mapping[str, str] | None = None) -> str:
        """Run a command in a service's container; variables go by name, so that their values are no arguments."""
        names = [part for name in environ or {} for part in ("-e", name)]
        with_values = Running(self.project, self.endpoints, {**self.environ, **(environ or {})})
        return with_values.docker("exec", *names, self.container(service), *command, check=False)

    def inspect(self, service: str = "") -> dict[str, object]:
        """What the engine tells anybody about the container."""
        return json.loads(self.docker("inspect", self.container(service)))[0]

    def logs(self, service: str = "") -> str:
        """Everything that the container has said."""
        return self.docker("logs", self.container(service))

    def restart(self, service: str = "") -> None:
        """Stop (with its own signal and grace) and start the same container."""
        self.docker("restart", self.container(service))

    def starting(self, service: str = "") -> set[str]:
        """Stop the container, and start it while its service is asked without a pause: every reason why not, until it
        is ready. Who asks only after the start has come back may find it ready.
        """
        name, reasons, patience = service or self.at.service, set[str](), Deadline(PATIENCE)
        self.docker("stop", self.container(service))
        with ThreadPoolExecutor(1) as pool:
            start = pool.submit(self.docker, "start", self.container(service))
            while not patience.passed:
                try:
                    # Short: a connection that is made before the container's link is up hears nothing for a second.
                    self.services[name].ping(self.endpoints[name], 0.2)
                    break
                except protocols.NotReady as reason:
                    reasons.add(str(reason))
            start.result()
        self.services[name].ping(self.endpoints[name], ANSWER)
        return reasons

    def provision(self, timeout: float = PATIENCE) -> None:
        """Wait until every service with identities has made its app identity."""
        for name, service in self.services.items():
            if isinstance(service, protocols.HasIdentities):
                until(lambda s=service, n=name: s.provision(self.endpoints[n], ANSWER), timeout, f"{name} provisioned")

    def ready(self, timeout: float = PATIENCE) -> Running:
        """Provision, then wait until every service answers its ping."""
        self.provision(timeout)
        for name, service in self.services.items():
            until(lambda s=service, n=name: s.ping(self.endpoints[n], ANSWER), timeout, f"{name} ready")
        return self


@pytest.fixture(scope="session")
def running_service() -> Callable[..., AbstractContextManager[Running]]:
    """Starts services in a compose project of their own, on free ports and with fresh secrets.

    `with running_service(Kafka(), Zookeeper()) as server:` does not wait (`server.ready()` waits), and removes every
    trace afterwards.

    Made for `pytest.fixture(scope="module")` of a test module as well as for single tests. `overrides` are further
    compose variables; a service's image is the newest `envctl/<name>` on the engine, else the compose file's own.
    """
    return _running


@contextmanager
def _running(*services: protocols.Service, **overrides: str) -> Iterator[Running]:
    project = f"svctest-{services[0].name}-{secrets.token_hex(4)}"
    endpoints = {service.name: _endpoint(service) for service in services}
    environ = dict(os.environ)
    for service in services:
        environ |= _variables(service, endpoints[service.name])
    server = Running(project, endpoints, environ | overrides, {service.name: service for service in services})
    try:
        server.compose("--profile", "full", "up", "-d", "--no-deps", "--pull", "missing", *endpoints)
        yield server
    finally:
        server.docker("compose", "-p", project, "down", "-v", "--remove-orphans", "-t", "0")


def _endpoint(service: protocols.Service) -> Endpoint:
    admin = app = None
    if isinstance(service, protocols.HasIdentities):
        admin = Identity(service.admin_name, f"adm-{secrets.token_urlsafe(12)}")
        app = Identity(service.app_name, f"app-{secrets.token_urlsafe(12)}")
    return Endpoint(service.name, "127.0.0.1", {port: _free_port() for port in service.ports}, admin, app)


def _variables(service: protocols.Service, at: Endpoint) -> dict[str, str]:
    """The compose variables of one service: ports, image, secrets."""
    prefix = service.name.upper().replace("-", "_")
    first = next(iter(at.ports))
    found = {
        f"ENVCTL_{prefix}_{'' if name == first else name.upper() + '_'}PORT": str(p) for name, p in at.ports.items()
    }
    image = os.environ.get(f"ENVCTL_{prefix}_IMAGE") or _local_image(service.name)
    if image:
        found[f"ENVCTL_{prefix}_IMAGE"] = image
    if isinstance(service, protocols.HasIdentities):
        assert at.admin
        assert at.app
        for key, content in service.secret_files(at.admin, at.app).items():
            found[f"ENVCTL_SECRET_{prefix}_{key.upper()}"] = content
    return found


def _local_image(name: str) -> str:
    command = ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", f"envctl/{name}"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return next((image for image in listed if not image.endswith(":<none>")), "")


def _free_port() -> int:
    """A port that nothing listens on, below the range from which the kernel takes outgoing ones."""
    while True:
        port = 20000 + secrets.randbelow(12000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

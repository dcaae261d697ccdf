"""What the probes make of ports behind which there is no server, or another one."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from envctl.model import Endpoint, Identity
from envctl.protocols import HasIdentities, NotReady, Service
from envctl.services.kafka import Kafka
from envctl.services.spark_connect import SparkConnect
from envctl.services.zookeeper import ZooKeeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Behaviour = Callable[[socket.socket], None]

PATIENCE = 20.0
"""Seconds for what comes at once; machines that run tests are busy."""

SERVICES = [Kafka(), ZooKeeper(), SparkConnect()]
by_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)


def _endpoint(service: Service, port: int) -> Endpoint:
    admin, app = Identity("envctl", "admin-word"), Identity("app", "app-word")
    return Endpoint(service.name, "127.0.0.1", dict.fromkeys(service.ports, port), admin, app)


@pytest.fixture
def server() -> Iterator[Callable[[Behaviour], int]]:
    """Starts a server on a free port that treats each connection as told, until the test ends."""
    listening = []

    def start(behave: Behaviour) -> int:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # closed: the test is over
                    return
                with connection:
                    behave(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        listening.append((listener, thread))
        return int(listener.getsockname()[1])

    yield start
    for listener, thread in listening:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@by_service
def test_a_refused_connection_is_not_ready(service: Service) -> None:
    """Nothing listens: said in plain words."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NotReady, match="connection refused"):
        service.ping(_endpoint(service, port), PATIENCE)


@by_service
def test_a_port_that_accepts_and_closes_is_not_ready(service: Service, server: Callable[[Behaviour], int]) -> None:
    """The engine's port proxy does that for a server that is still booting."""
    with pytest.raises(NotReady, match="closed"):
        service.ping(_endpoint(service, server(lambda _: None)), PATIENCE)


@by_service
def test_another_kind_of_server_is_not_ready(service: Service, server: Callable[[Behaviour], int]) -> None:
    """A web server on the port is never taken for the service."""

    def web(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" + bytes(100))

    with pytest.raises(NotReady):
        service.ping(_endpoint(service, server(web)), 1)


@by_service
def test_a_silent_server_costs_no_more_than_the_time_allowed(
    service: Service, server: Callable[[Behaviour], int]
) -> None:
    """One attempt ends in time, whatever the server does."""
    over = threading.Event()
    port = server(lambda _: over.wait(2 * PATIENCE) and None)
    started = time.monotonic()
    try:
        with pytest.raises(NotReady, match="no answer within"):
            service.ping(_endpoint(service, port), 0.2)
    finally:
        over.set()
    assert time.monotonic() - started < PATIENCE


@pytest.mark.parametrize("service", [s for s in SERVICES if isinstance(s, HasIdentities)], ids=lambda s: s.name)
def test_every_password_is_in_a_secret_file_and_in_no_plain_variable(service: Service) -> None:
    """One that tells all is in a file for every service with identities; what `env` masks is all that holds one."""
    assert isinstance(service, HasIdentities)
    at = _endpoint(service, 1)
    assert at.admin
    assert at.app
    assert {"admin", "app"} & service.secret_files(at.admin, at.app).keys()
    variables = service.variables(at)  # type: ignore[attr-defined]
    holding = {name for name, value in variables.items() if "-word" in value}
    assert holding == service.secret_variables()  # type: ignore[attr-defined]


def test_a_booting_server_costs_no_client_library() -> None:
    """Importing the services and asking a dead port loads none of the clients, which take 60 to 1000 ms."""
    program = f"""
import sys
from envctl.model import Endpoint, Identity
from envctl.protocols import NotReady
for module, name in {[(type(s).__module__, type(s).__name__) for s in SERVICES]!r}:
    __import__(module)
    service = getattr(sys.modules[module], name)()
    try:
        service.ping(Endpoint(service.name, "127.0.0.1", dict.fromkeys(service.ports, 1), None, Identity("a", "b")), 1)
    except NotReady:
        pass
print([name for name in ("kafka", "grpc", "pyspark", "structlog") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

"""What every law needs: the services of the catalog, one by one, and servers that behave badly."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from envctl.catalog import SERVICES
from envctl.config import bundle_root
from envctl.model import Endpoint, Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from envctl.protocols import Service

    Behaviour = Callable[[socket.socket], object]

ADMIN, APP = Identity("envctl", "the-admin-secret"), Identity("app", "the-app-secret")


@pytest.fixture(params=SERVICES.values(), ids=lambda service: service.name)
def service(request: pytest.FixtureRequest) -> Service:
    """Each service of the catalog in its turn."""
    found: Service = request.param
    return found


@pytest.fixture
def described(service: Service) -> dict[str, Any]:
    """The service's own compose file, whole."""
    path = bundle_root() / "compose" / "services" / f"{service.name}.yaml"
    model: dict[str, Any] = yaml.safe_load(path.read_text())
    return model


@pytest.fixture
def model(service: Service, described: dict[str, Any]) -> dict[str, Any]:
    """The service as its compose file describes it."""
    found: dict[str, Any] = described["services"][service.name]
    return found


@pytest.fixture
def at(service: Service) -> Callable[[int], Endpoint]:
    """The service's endpoint with one host port for all its ports."""
    return lambda port: Endpoint(service.name, "127.0.0.1", dict.fromkeys(service.ports, port), ADMIN, APP)


@pytest.fixture
def closed() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def server() -> Iterator[Callable[[Behaviour], int]]:
    """Starts a server that treats each connection as told, and closes it then; returns its port."""
    started: list[tuple[socket.socket, threading.Thread]] = []

    def treat(connection: socket.socket, behave: Behaviour) -> None:
        with connection, suppress(OSError):  # the client has gone
            behave(connection)

    def start(behave: Behaviour) -> int:
        listener = socket.create_server(("127.0.0.1", 0))

        def accept() -> None:
            with suppress(OSError):  # closed: the test is over
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=treat, args=(connection, behave), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        started.append((listener, thread))
        return int(listener.getsockname()[1])

    yield start
    for listener, thread in started:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)

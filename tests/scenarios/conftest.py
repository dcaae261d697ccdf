"""What every scenario gets: a scene of its own, which is cleaned up however the test ends."""

from __future__ import annotations

import secrets
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests.scenarios.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import docker


@pytest.fixture(scope="session")
def new_scene(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], AbstractContextManager[Scene]]:
    """Makes scenes; for environments that the tests of a module share."""

    @contextmanager
    def scenes() -> Iterator[Scene]:
        scene = Scene(tmp_path_factory.mktemp("scene"), engine)
        try:
            yield scene
        finally:
            scene.close()

    return scenes


@pytest.fixture
def scene(new_scene: Callable[[], AbstractContextManager[Scene]]) -> Iterator[Scene]:
    """A scene for one test."""
    with new_scene() as one:
        yield one


@pytest.fixture
def a_free_port() -> int:
    """A port that nobody listens on, below the range of outgoing connections."""
    while True:
        port = 20000 + secrets.randbelow(12000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port

"""ZooKeeper as it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.protocols import NotReady
from envctl.services.zookeeper import ZooKeeper
from envctl.waiting import until
from tests.integration.services.conftest import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.integration.services.conftest import Running


@pytest.fixture(scope="module")
def zookeeper(running_service: Callable[..., AbstractContextManager[Running]]) -> Iterator[Running]:
    """One server for the module, ready."""
    with running_service(ZooKeeper()) as server:
        yield server.ready()


def test_it_is_not_ready_while_its_jvm_boots(zookeeper: Running) -> None:
    """The port is published at once and answers nothing; ready comes after that, at the same address."""
    assert zookeeper.starting() - {"connection refused"}


def test_the_shell_is_zookeepers_own(zookeeper: Running) -> None:
    """What is created there is kept over a restart."""
    command, environ = ZooKeeper().shell(zookeeper.at)
    assert "Created /kept" in zookeeper.execute(*command, "create", "/kept", "word", environ=environ)
    zookeeper.restart()
    zookeeper.ready()
    assert "word" in zookeeper.execute(*command, "get", "/kept", environ=environ)


def test_the_healthcheck_agrees(zookeeper: Running) -> None:
    """`docker ps` says healthy for what envctl calls ready."""

    def healthy() -> None:
        state = zookeeper.docker("inspect", "-f", "{{.State.Health.Status}}", zookeeper.container()).strip()
        if state != "healthy":
            raise NotReady(state)

    until(healthy, PATIENCE, "healthy")

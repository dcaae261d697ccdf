"""What the kinds of tests share: the engine, and a state folder of its own, so that no test touches the user's."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    import docker

_AFTERWARDS = 300
"""Seconds for each wait in the cleanup of a test that has had its time, and for what threads are left in the end."""

# A client that is refused says so hundreds of times: a report of a failure would be nothing else.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

# On a busy machine any example may take long, and making examples too: neither says anything of what is tested.
settings.register_profile("busy", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer() -> Generator[None, object, object]:
    """Have the alarm come again: the first one ends the test, and a join in its cleanup would last for ever."""
    made = yield
    signal.setitimer(signal.ITIMER_REAL, signal.getitimer(signal.ITIMER_REAL)[0], _AFTERWARDS)
    return made


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Say where a thread hangs that keeps the interpreter from ending, and end."""
    faulthandler.dump_traceback_later(_AFTERWARDS, exit=True, file=2)


@pytest.fixture
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `$XDG_STATE_HOME`, for this test and every process that it starts."""
    home = tmp_path / "state-home"
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The engine itself, to see what is true."""
    import docker

    if os.environ.get("ENVCTL_NO_ENGINE") == "1":
        pytest.skip("ENVCTL_NO_ENGINE=1: no engine here")
    client = docker.from_env()
    yield client
    client.close()

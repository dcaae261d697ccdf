"""What the kinds of tests share: the engine, and a state folder of its own, so that no test touches the user's."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker


# A client that is refused says so hundreds of times: a report of a failure would be nothing else.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

# On a busy machine any example may take long, and making examples too: neither says anything of what is tested.
settings.register_profile("busy", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


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

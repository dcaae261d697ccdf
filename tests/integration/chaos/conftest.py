"""What every test of faults gets: an environment of the module's own, with the services that the module names."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import envctl
from envctl.protocols import NotReady
from envctl.services.redis.service import RedisHandle
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    import docker
    import redis

    from envctl.environment import Environment

PATIENCE = 120.0
"""Seconds until something that should come counts as missing; machines that run tests are busy."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder of the module's own, for this process and those that it starts."""
    home, before = tmp_path_factory.mktemp("state"), os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["XDG_STATE_HOME"]
    else:
        os.environ["XDG_STATE_HOME"] = before


@pytest.fixture(scope="module")
def env(request: pytest.FixtureRequest, engine: docker.DockerClient, state: Path) -> Iterator[Environment]:
    """An environment with the services in the module's `SERVICES`, gone afterwards whatever happens."""
    del engine, state
    with envctl.up(name=f"chaos-{secrets.token_hex(4)}", services=request.module.SERVICES, ports="auto") as one:
        yield one


@pytest.fixture(autouse=True)
def unhurt(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing is in force before a test, and nothing after it, whatever it did."""
    yield
    if "env" in request.fixturenames:
        request.getfixturevalue("env").chaos.heal()


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What clients of Redis a test leaves behind is closed at its end: Python warns of a socket that it has to close,
    in whichever test that happens.
    """
    made: list[redis.Redis] = []
    make = RedisHandle.client

    def client(handle: RedisHandle, **options: Any) -> redis.Redis:  # noqa: ANN401 - handed on as they are
        made.append(make(handle, **options))
        return made[-1]

    monkeypatch.setattr(RedisHandle, "client", client)
    yield
    for one in made:
        one.close()


@pytest.fixture
def injected(env: Environment) -> Callable[[str], AbstractContextManager[subprocess.Popen[str]]]:
    """Runs Python lines with `env` in another process, which then waits; it is killed by the test, or after it."""

    @contextmanager
    def elsewhere(lines: str) -> Iterator[subprocess.Popen[str]]:
        begin, end = (
            f"import envctl, sys\nenv = envctl.attach({env.name!r})",
            "print('in force', flush=True)\nsys.stdin.read()",
        )
        program = f"{begin}\n{lines}\n{end}\n"
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "in force\n"
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate(timeout=PATIENCE)

    return elsewhere


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Repeats an assertion until it holds."""

    def repeat(check: Callable[[], object]) -> None:
        def probe() -> None:
            try:
                check()
            except AssertionError as error:
                raise NotReady(str(error) or repr(error)) from error

        until(probe, PATIENCE, "it holds")

    return repeat

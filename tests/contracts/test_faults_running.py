"""The law of all faults on all services, with every service running: it bites, and is healed without its injector."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import envctl
from envctl.catalog import FAULTS, SERVICES
from envctl.journal import Journal, Stage
from envctl.protocols import NotReady
from envctl.state import StateFolder
from envctl.waiting import until
from tests.contracts.arranged import ARRANGED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from envctl import Environment

PATIENCE = 180.0
"""Seconds until something that should come counts as missing; machines that run tests are busy."""

PAIRS = [
    (fault.name, service.name)
    for service in SERVICES.values()
    for fault in FAULTS.values()
    if not fault.unfit(service) and not fault.attended
]
"""Those that wait for a victim have tests of their own."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Every service, ready; gone at the end, and state of its own meanwhile."""
    if os.environ.get("ENVCTL_NO_ENGINE") == "1":
        pytest.skip("ENVCTL_NO_ENGINE=1: no engine here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with envctl.up("full", name=f"faults-{secrets.token_hex(4)}", ports="auto") as env:
            yield env


@pytest.fixture(autouse=True)
def unhurt(running: Environment) -> Iterator[None]:
    """Every service is well before a test and after it, whatever it did."""
    yield
    running.chaos.heal()
    for service in SERVICES:
        running.wait_recovered(service, PATIENCE)


@pytest.fixture
def dead() -> str:
    """The owner's name of a process that was killed: what an injector is after SIGKILL."""
    program = "from envctl.engine import owner; print(owner.this_process(), flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    name = process.stdout.readline().strip()
    process.kill()
    process.communicate()
    return name


@pytest.mark.parametrize(("fault", "service"), PAIRS, ids=lambda word: word)
def test_a_fault_bites_and_is_healed_when_its_injector_is_dead(
    running: Environment, engine: docker.DockerClient, fault: str, service: str, dead: str
) -> None:
    """The warden alone heals it; the service is what it was, by its own protocol and in the engine's words."""
    [row] = [row for row in running.chaos.list([service]) if row.fault == fault]
    if not row.possible:
        pytest.skip(row.reason)
    arranged = ARRANGED.get((fault, service))
    parameters = arranged(running) if arranged else {}
    before = portrait(engine, running.name, service)
    injection = running.chaos.call(fault, service, parameters, duration="1h", holder=dead)
    assert injection.evidence
    until(lambda: _over(running, injection.id), PATIENCE, f"{injection.id} healed by the warden")
    entry = Journal(StateFolder(running.name)).ended(injection.id)
    assert entry is not None
    assert (entry.stage, entry.problem) == (Stage.HEALED, "")
    running.wait_recovered(service, PATIENCE)
    assert portrait(engine, running.name, service) == before
    events = [line for line in running.chaos.history() if line["id"] == injection.id]
    told = [line["event"] for line in events if line["event"] not in {"fault.healing", "fault.heal_failed"}]
    assert told == ["fault.planned", "fault.applied", "fault.injected", "fault.healed"]
    assert {line["pid"] for line in events[:3]} == {os.getpid()}
    assert events[-1]["pid"] != os.getpid()


def portrait(engine: docker.DockerClient, environment: str, service: str) -> dict[str, Any]:
    """What the engine says of a container, without what changes by itself; and who is in its processes."""
    data = engine.api.inspect_container(f"envctl-{environment}-{service}-1")
    network = {name: net["Aliases"] for name, net in data["NetworkSettings"]["Networks"].items()}
    mounts = sorted(mount["Destination"] for mount in data["Mounts"])
    state = {key: data["State"][key] for key in ("Status", "Running", "Paused", "Restarting", "Dead")}
    return {
        "id": data["Id"],
        "host": data["HostConfig"],
        "config": data["Config"],
        "ports": data["NetworkSettings"]["Ports"],
        "network": network,
        "mounts": mounts,
        "state": state,
    }


def _over(env: Environment, fault: str) -> None:
    if any(entry.id == fault for entry in env.chaos.status()):
        raise NotReady("still in force")

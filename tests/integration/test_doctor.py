"""The doctor on this machine, with its real engine, sockets and kernel."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest

from envctl.engine import connect, doctor
from envctl.engine.doctor import kernel, ports
from envctl.engine.doctor.finding import Finding, Level
from envctl.engine.doctor.site import Site
from envctl.errors import EngineError
from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = "doctor-test"

needs_root_on_linux = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="a scratch namespace needs root on Linux"
)


@pytest.fixture(scope="module")
def site() -> Site:
    """The machine with its engine; without one these tests fail."""
    found = Site.look()
    assert found.engine is not None, found.error
    return found


def of(findings: list[Finding], check: str) -> Finding:
    """The one finding of that name."""
    (found,) = [finding for finding in findings if finding.check == check]
    return found


@pytest.fixture
def listener() -> Iterator[int]:
    """A standard port that was free and that this process listens on now."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for port in ports.STANDARD:
            try:
                server.bind(("127.0.0.1", port))
            except OSError:
                continue
            server.listen(1)
            yield port
            return
        pytest.fail("every standard port of this machine is taken")


def test_the_engine_is_found_with_its_version_and_the_reason_for_it() -> None:
    """As the engine itself says."""
    address = connect.locate()
    with docker.APIClient(base_url=address.url) as api:
        version = api.version()["Version"]
    found = of(doctor.examine(), "engine")
    assert found.state is Level.OK
    assert found.data["version"] == version
    assert address.reason in found.found


def test_a_taken_port_names_its_process_and_pid(site: Site, listener: int) -> None:
    """The holder is this process."""
    found = of(ports.ports(site), f"port.{listener}")
    assert found.state is Level.WARN
    assert found.data["pid"] == os.getpid()
    assert f"(pid {os.getpid()})" in found.found


def test_a_released_port_is_free_again(site: Site, listener: int) -> None:
    """The probe itself holds nothing: two looks in a row agree about all other ports."""
    free = of(ports.ports(site), "ports").data["free"]
    assert of(ports.ports(site), "ports").data["free"] == free
    assert listener not in free  # type: ignore[operator]


def namespaces() -> set[str]:
    """Named namespaces, and those that some process lives in."""
    alive = set()
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            alive.add(str(link.readlink()))
        except OSError:
            continue  # the process has just ended
    return alive | {str(path) for path in Path("/run/netns").glob("*")}


@needs_root_on_linux
def test_the_kernel_is_probed_in_a_scratch_namespace_that_is_gone_afterwards() -> None:
    """Without an engine, on this machine; other people's namespaces may come and go meanwhile, ours may not stay."""
    inside = "import os; print(os.readlink('/proc/self/ns/net'))"
    place, command = kernel._place(Site(None, None, None))
    mark = subprocess.run([*command, inside], capture_output=True, text=True, check=True).stdout.strip()
    findings = kernel.kernel(Site(None, None, None))
    assert "scratch namespace" in place
    assert mark != os.readlink("/proc/self/ns/net")  # noqa: PTH115 - the link's text is no path
    assert mark not in namespaces()
    assert {finding.check for finding in findings} == {f"kernel.{name}" for name in kernel.ABILITIES}


@needs_root_on_linux
def test_the_kernel_probe_touches_nothing_of_this_machines_own_network() -> None:
    """Links, shaping and rules are the same before and after."""

    def state() -> list[str]:
        commands = (
            ["ip", "-o", "link", "show", "lo"],
            ["tc", "qdisc", "show", "dev", "lo"],
            ["iptables", "-S", "INPUT"],
        )
        return [subprocess.run(command, capture_output=True, text=True, check=False).stdout for command in commands]

    before = state()
    kernel.kernel(Site(None, None, None))
    assert state() == before


def test_the_kernel_probe_leaves_no_container_behind(site: Site) -> None:
    """Also where it ran in a container of the tools image."""
    kernel.kernel(site)

    def gone() -> None:
        assert site.engine is not None
        if left := site.engine.api.containers(all=True, filters={"name": "envctl-doctor-"}):
            raise NotReady(f"{left[0]['Names']} is there")

    # Somebody else's doctor may be at work on the same engine; what stays is ours.
    until(gone, 60, "no container of a probe")


@pytest.fixture
def network(site: Site) -> Iterator[str]:
    """One network of our own, removed afterwards."""
    assert site.engine is not None
    name = f"{PART}-{secrets.token_hex(4)}"
    made = site.engine.api.create_network(name, driver="bridge", labels={"envctl.test": PART})
    yield name
    site.engine.api.remove_network(made["Id"])


def test_the_subnet_of_a_new_network_is_counted_as_taken(site: Site, network: str) -> None:
    """Compared by the subnet itself: other networks come and go on a shared engine."""
    from envctl.engine.doctor.networks import DEFAULT_POOLS, free_subnets, used_subnets

    assert site.engine is not None
    (ours,) = used_subnets([site.engine.api.inspect_network(network)])
    assert ours not in set(free_subnets(DEFAULT_POOLS, used_subnets(site.engine.api.networks())))


def test_an_engine_that_is_not_there_fails_with_advice_and_exit_code_4(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks that need no engine still answer."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    findings = doctor.examine()
    found = of(findings, "engine")
    assert (found.state, found.data["reason"]) == (Level.FAIL, "DOCKER_HOST")
    assert "unset DOCKER_HOST" in found.advice
    assert of(findings, "python").state is Level.OK
    assert doctor.exit_code(findings) == 4


def test_a_chosen_engine_that_does_not_answer_is_not_replaced_by_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed or started behind the back of somebody who named an engine."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    said: list[str] = []
    with pytest.raises(EngineError) as caught:
        doctor.fix(said.append)
    assert said == []
    assert "unset DOCKER_HOST" in caught.value.advice


def test_fix_does_nothing_to_an_engine_that_is_there(site: Site) -> None:
    """No action, the same daemon: its process has the same id and start."""
    assert site.engine is not None
    said: list[str] = []
    assert doctor.fix(said.append) == []
    assert any("used as it is" in line for line in said)
    assert site.engine.api.info()["ID"] == site.engine.info["ID"]


def test_the_command_ends_with_4_without_an_engine() -> None:
    """From outside, as a pipeline sees it: one document on stdout, no traceback."""
    environ = {**os.environ, "DOCKER_HOST": "tcp://127.0.0.1:1"}
    command = [sys.executable, "-m", "envctl", "doctor"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "DOCKER_HOST" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr

"""The law of all faults of the network, on each service, each way and by each back end that this kernel has: it is
measured to bite, and afterwards the service's network is what it was, to the last rule.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

import envctl
from envctl.catalog import FAULTS, SERVICES
from envctl.chaos.ward import Ward
from envctl.errors import FaultUnfit
from envctl.faults.fault import options
from envctl.faults.network.namespace import InNamespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from envctl import Environment

PICTURE = """
nsenter --net=/proc/$PID/ns/net sh -c '
iptables-save | sed "s/^#.*//; s/\\[[0-9:]*\\]//"; ip6tables-save | sed "s/^#.*//; s/\\[[0-9:]*\\]//"
nft list tables; tc qdisc; tc class show dev eth0; tc filter show dev eth0; ip -o link | cut -d" " -f2; ip route'
for comm in $(grep -ls "^envctl-packets$" /proc/[0-9]*/comm); do
  [ "$(readlink ${comm%comm}ns/net)" = "$(readlink /proc/$PID/ns/net)" ] && echo $comm
done
"""
"""Every rule, shaper, table, interface and program of one network."""

CASES = [
    (fault.name, direction, backend)
    for fault in FAULTS.values()
    if issubclass(fault, InNamespace)
    for direction in next((list(one.choices or ()) for one in options(fault) if one.name == "direction"), [""])
    for backend in fault.backends
    if backend != "proxy"  # not in the service's network, and only where there is a relay: chaos/test_proxy.py
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Environment]:
    """Every service, ready; gone at the end, and state of its own meanwhile."""
    del engine
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with envctl.up("full", name=f"network-{secrets.token_hex(4)}", ports="auto") as env:
            env.chaos.partition("redis", peer="postgres").heal()  # so that the surgeon is there
            yield env


def picture(engine: docker.DockerClient, environment: str, service: str) -> str:
    """What there is in a service's network."""
    pid = engine.api.inspect_container(f"envctl-{environment}-{service}-1")["State"]["Pid"]
    seen = Ward(environment).hands.operate(environment, ["sh", "-c", PICTURE], {"PID": str(pid)}).output
    # Docker's own rules for names are part of every picture.
    assert "DOCKER_OUTPUT" in seen
    return seen


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("fault", "direction", "backend"), CASES)
def test_a_fault_of_the_network_bites_and_leaves_the_network_as_it_was(
    running: Environment, engine: docker.DockerClient, fault: str, direction: str, backend: str, service: str
) -> None:
    """`network` of the evidence is what was measured before and during; healing measures again."""
    parameters = {"backend": backend} | ({"direction": direction} if direction else {})
    if "peer" in {one.name for one in options(FAULTS[fault])}:
        parameters["peer"] = "postgres" if service == "redis" else "redis"
    before = picture(engine, running.name, service)
    if (fault, backend) == ("break-dns", "nfqueue"):
        parameters["mode"] = "delay"
    try:
        injection = running.chaos.call(fault, service, parameters)
    except FaultUnfit as reason:
        pytest.skip(str(reason))
    assert injection.evidence["backend"] == backend
    assert injection.evidence["measured"]
    healed = injection.heal()
    assert (healed.stage, healed.problem) == ("healed", "")
    assert picture(engine, running.name, service) == before

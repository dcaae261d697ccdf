"""What faults of the network say where they cannot be had: on a kernel that lacks everything, of a service without
ports, with values that cannot be.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from envctl.catalog import FAULTS, SERVICES
from envctl.engine.doctor.kernel import ABILITIES
from envctl.faults.network.latency import Latency
from envctl.faults.network.namespace import NEEDS, InNamespace
from envctl.faults.network.tcp import ConnectionFault
from envctl.site import Dice, Site

if TYPE_CHECKING:
    from envctl.protocols import Service

NETWORK = [fault for fault in FAULTS.values() if issubclass(fault, InNamespace)]
CONNECTIONS = [fault for fault in NETWORK if issubclass(fault, ConnectionFault) and fault.name != "slow-close"]
REDIS = SERVICES["redis"]


def site(able: dict[str, tuple[bool, str]], mode: str = "bridge") -> Site:
    """A service on an engine with that kernel; nothing of it runs."""
    hands: Any = SimpleNamespace(
        abilities=lambda _: able,
        inspect=lambda _: {"HostConfig": {"NetworkMode": mode}},
    )
    container = SimpleNamespace(id="1", service="redis", labels={}, ports={6379: 6379})
    engine = SimpleNamespace(containers=lambda _: [])
    known = cast("Any", {"container": container, "engine": engine, "at": SimpleNamespace(ports={})})
    return Site(environment="none", service=REDIS, hands=hands, dice=Dice(1), **known)


NOTHING = dict.fromkeys(ABILITIES, (False, "Specified qdisc kind is unknown."))
ALL = dict.fromkeys(ABILITIES, (True, "created"))


@pytest.mark.parametrize("fault", NETWORK, ids=lambda fault: fault.name)
def test_a_kernel_that_lacks_everything_is_told_with_what_each_back_end_lacks(fault: type[InNamespace]) -> None:
    """In the system's own words."""
    reason = fault().obstacle(site(NOTHING))
    wanted = [name for name in fault().wanted_backends if NEEDS[name]]
    assert wanted
    assert all(name in reason for name in wanted), reason
    assert "Specified qdisc kind is unknown." in reason
    assert "`envctl doctor`" in reason


@pytest.mark.parametrize("fault", NETWORK, ids=lambda fault: fault.name)
def test_the_first_back_end_that_the_kernel_has_is_taken_and_one_that_is_named_before_all(
    fault: type[InNamespace],
) -> None:
    """Whatever else there is."""
    assert fault().chosen(site(ALL)) == fault().wanted_backends[0]
    for name in fault().wanted_backends:
        if NEEDS[name]:
            assert cast("Any", fault)(backend=name).chosen(site(ALL)) == name
            assert cast("Any", fault)(backend=name).chosen(site(NOTHING)) == ""


@pytest.mark.parametrize(("delay", "lasts", "wanted"), [(5.0, 2.0, True), (5.0, 5.0, True), (5.0, 6.0, False)])
def test_a_delay_that_is_longer_than_the_fault_is_refused(delay: float, lasts: float, wanted: bool) -> None:
    """No packet would come in its time."""
    at = site(ALL)
    at.lasts = lasts
    told = [f"--for: wanted more than the delay (5 s), found {lasts:g} s"] if wanted else []
    assert list(Latency(delay=delay).problems_at(at)) == told


@pytest.mark.parametrize("mode", ["host", "none", "container:abc"])
def test_a_container_without_a_network_of_its_own_is_left_alone(mode: str) -> None:
    """What would be hurt is somebody else's."""
    for fault in NETWORK:
        assert mode in fault().obstacle(site(ALL, mode))


@pytest.mark.parametrize("fault", CONNECTIONS, ids=lambda fault: fault.name)
def test_of_a_service_without_known_ports_it_must_be_said_which_are_meant(fault: type[ConnectionFault]) -> None:
    """Else nothing could be shown."""
    silent = cast("Service", SimpleNamespace(name="worker", ports={}))
    assert any("--port: wanted the ports that are meant" in text for text in fault(direction="in").problems(silent))
    assert not any("--port" in text for text in fault(direction="in", port="80").problems(silent))


@pytest.mark.parametrize("port", ["0", "65536", "http", "80;81", "-1"])
def test_a_port_that_is_none_is_told_with_what_is_wanted(port: str) -> None:
    """By each fault that takes one."""
    for fault in (FAULTS["latency"], FAULTS["partition"], FAULTS["refuse"]):
        said = list(cast("Any", fault)(port=port).problems(REDIS))
        assert any(text.startswith("--port: wanted port numbers") for text in said), said

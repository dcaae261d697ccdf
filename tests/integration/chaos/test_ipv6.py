"""Faults of the network where there is IPv6: what they do by one family of addresses they do by the other, to real
clients, and no more; and neighbours are found meanwhile.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

import envctl
from envctl.catalog import FAULTS
from envctl.errors import FaultUnfit
from tests.integration.chaos import six_effects, wires
from tests.integration.chaos.six_clients import BESIDE, REDIS, SIZE, Way, compose, ways
from tests.integration.chaos.six_effects import CLOSE, DELAY, RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import docker

    from envctl.environment import Environment

    Known = dict[tuple[str, int], list[Way]]
    Eventually = Callable[[Callable[[], object]], None]

PICTURE = f"""
exec 2>&-
nsenter --net=/proc/$0/ns/net sh -c '{wires.PORTRAIT}'
nsenter --net=/proc/$0/ns/net sh -c 'iptables-save; ip6tables-save' | sed 's/^#.*//; s/\\[[0-9:]*\\]//'
for comm in $(grep -ls '^envctl-packets$' /proc/[0-9]*/comm); do
  [ "$(readlink ${{comm%comm}}ns/net)" = "$(readlink /proc/$0/ns/net)" ] && echo $comm
done
true
"""


@pytest.fixture(scope="module")
def env(engine: docker.DockerClient, state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Redis and the clients, in a network with IPv6."""
    del engine, state
    file = tmp_path_factory.mktemp("six") / "six.yaml"
    file.write_text(compose())
    services = ["redis", "caller", "bystander", "beside"]
    with envctl.up(name=f"chaos-{secrets.token_hex(4)}", services=services, files=[file], ports="auto") as one:
        one.redis.client().set("body", bytes(SIZE))
        one.chaos.partition("redis", peer="caller").heal()  # so that the surgeon is there
        yield one


@pytest.fixture(scope="module")
def known(env: Environment) -> Known:
    """All ways."""
    return ways(env)


def picture(env: Environment) -> str:
    """Interfaces, shapers, filters, rules and programs of redis' network."""
    at = wires.site(env, "redis")
    done = at.hands.operate(env.name, ["sh", "-c", PICTURE, str(at.hands.pid(at.container.id))])
    assert "DOCKER_OUTPUT" in done.output
    return done.output


CASES: list[tuple[str, dict[str, Any], Callable[[Way], None]]] = [
    ("throttle", {"rate": RATE}, six_effects.slow),
    ("latency", {"delay": DELAY}, six_effects.late),
    ("latency", {"delay": DELAY, "direction": "in"}, six_effects.late),
    ("loss", {"percent": 10}, six_effects.lossy),
    ("duplicate", {"percent": 100}, six_effects.doubled),
    ("corrupt", {"percent": 10}, six_effects.lossy),
    ("reorder", {"percent": 20}, six_effects.overtaken),
    ("partition", {}, six_effects.parted),
    ("partition", {"direction": "in"}, six_effects.deaf),
    ("partition", {"direction": "out"}, six_effects.mute),
    ("refuse", {}, six_effects.refused),
    ("black-hole", {}, six_effects.parted),
    ("black-hole", {"connections": "new"}, six_effects.unconnected),
    ("cut", {}, six_effects.cut),
    ("half-open", {}, six_effects.forgotten),
    ("half-open", {"forgets": "clients"}, six_effects.kept),
    ("slow-close", {"delay": CLOSE}, six_effects.late_end),
]
EACH = [
    pytest.param(fault, {"backend": backend, **parameters}, hurts, id=" ".join([fault, backend, *words]))
    for fault, parameters, hurts in CASES
    for backend in FAULTS[fault].backends
    if backend != "proxy"
    for words in [[str(value) for value in parameters.values() if isinstance(value, str)]]
]


@pytest.mark.parametrize("aim", [{"peer": "caller"}, {"port": "6379"}], ids=["peer", "port"])
@pytest.mark.parametrize(("fault", "parameters", "hurts"), EACH)
def test_it_bites_by_either_family_alone_and_leaves_other_ways_as_they_are(
    env: Environment,
    known: Known,
    eventually: Eventually,
    fault: str,
    parameters: dict[str, Any],
    hurts: Callable[[Way], None],
    aim: dict[str, str],
) -> None:
    """Another container's, or another port's; and afterwards everything is as it was, by either family."""
    meant, others = known["caller", REDIS], known["bystander", REDIS] if "peer" in aim else known["caller", BESIDE]
    for way in [*meant, *others]:
        assert way.connect()[0] == "connected"
    before = picture(env)
    try:
        injection = env.chaos.call(fault, "redis", {**parameters, **aim}, duration="10m")
    except FaultUnfit as reason:
        pytest.skip(str(reason))
    with injection:
        for way in meant:
            if hurts in six_effects.SAMPLED:
                eventually(lambda way=way: hurts(way))
            else:
                hurts(way)
        for way in others:
            eventually(lambda way=way: six_effects.untouched(way))
        assert proven_by_ipv6(injection.evidence["measured"])
    assert injection.healed
    assert (injection.healed.stage, picture(env)) == ("healed", before)
    for way in meant:
        way.connect()
        eventually(lambda way=way: six_effects.free(way))


def proven_by_ipv6(measured: dict[str, Any]) -> bool:
    """By packets of its own of either family; a throttle may also be by what its shapers say."""
    four = {name: told for name, told in measured.items() if not name.endswith("v6") and isinstance(told, dict)}
    return all(f"{name} v6" in measured or told["during"].get("also") for name, told in four.items())


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("partition", {}),
        ("partition", {"peer": "caller"}),
        ("loss", {"percent": 100}),
        ("loss", {"percent": 100, "peer": "caller"}),
        ("throttle", {"rate": "8kbit", "peer": "caller"}),
    ],
    ids=str,
)
def test_neighbours_are_found_by_their_addresses_meanwhile(
    env: Environment, known: Known, eventually: Eventually, fault: str, parameters: dict[str, Any]
) -> None:
    """Each asks anew who has the other's address, and hears the right answer: that is no packet to be hurt. So a client
    waits, as by IPv4, and is not told that nobody is there.
    """
    way, pairs = known["caller", REDIS][1], [("caller", "redis"), ("redis", "caller")]
    assert way.connect()[0] == "connected"
    before = [neighbour(env, *pair) for pair in pairs]
    assert "unknown" not in before
    with env.chaos.call(fault, "redis", parameters, duration="10m"):
        way.both(30, size=1000, wait=0.05)  # so many that a rate of so little has what comes next wait for long
        for one, _ in pairs:
            wires.inside(env, one, "ip", "-6", "neigh", "flush", "dev", "eth0")
        way.both(3, wait=0.05)
        eventually(lambda: same([neighbour(env, *pair) for pair in pairs], before))
    way.connect()
    eventually(lambda: six_effects.free(way))


def neighbour(env: Environment, source: str, sink: str) -> str:
    """The other's address of Ethernet, as the one knows it."""
    address = wires.address_of(env, sink, source, "v6")
    words = wires.inside(env, source, "ip", "-6", "neigh", "show", address).split()
    return words[words.index("lladdr") + 1] if "lladdr" in words and "FAILED" not in words else "unknown"


def test_the_host_is_a_peer_by_its_addresses_of_ipv6_too(env: Environment, eventually: Eventually) -> None:
    """As the container sees it."""
    ways = [(source, family) for source in ("host", "caller") for family in ("v4", "v6")]

    def come() -> list[int]:
        return [wires.packets(env, one, "redis", family=by, wait=0.2)["received"] for one, by in ways]

    with env.chaos.partition("redis", peer="host", duration="10m"):
        eventually(lambda: same(come(), [0, 0, 3, 3]))
    eventually(lambda: same(come(), [3, 3, 3, 3]))


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [("throttle", {}), ("latency", {"direction": "in"}), ("refuse", {"peer": "caller"}), ("slow-close", {})],
    ids=str,
)
def test_where_nothing_came_by_ipv6_before_it_is_proven_by_ipv4_alone(
    env: Environment, fault: str, parameters: dict[str, Any]
) -> None:
    """An address does not say that anything is let through."""
    dropped = "meta nfproto ipv6 meta l4proto { tcp, udp } drop"
    wires.inside(
        env, "redis", "nft", f"table inet mine {{ chain mine {{ type filter hook input priority 0; {dropped}; }}; }}"
    )
    try:
        with env.chaos.call(fault, "redis", parameters) as injection:
            assert injection.evidence["measured"]
        assert injection.healed
        assert injection.healed.stage == "healed"
    finally:
        wires.inside(env, "redis", "nft", "delete table inet mine")


def test_queues_of_others_in_ip6tables_alone_leave_no_room_either(env: Environment) -> None:
    """That is seen before anything is touched."""
    slots = [("raw", "OUTPUT"), ("mangle", "OUTPUT"), ("filter", "OUTPUT"), ("mangle", "POSTROUTING")]
    rules = [f"-t {table} {{}} {hook} -p 99 -j NFQUEUE --queue-num 9 --queue-bypass" for table, hook in slots]
    before = picture(env)
    try:
        for rule in rules:
            wires.inside(env, "redis", "ip6tables", *rule.format("-A").split())
        theirs = picture(env)
        with pytest.raises(FaultUnfit, match="4 queues stand in the way of what goes out already"):
            env.chaos.latency("redis")
        assert picture(env) == theirs
    finally:
        for rule in rules:
            wires.inside(env, "redis", "ip6tables", *rule.format("-D").split())
        wires.inside(
            env, "redis", "nft", *" ; ".join(f"delete table ip6 {one}" for one in ("raw", "mangle", "filter")).split()
        )
    assert picture(env) == before


def test_many_connections_of_ipv6_are_cut_at_once(env: Environment, known: Known) -> None:
    """More than one question to the kernel has room for."""
    way = known["caller", REDIS][1]
    names = [f"many {number}" for number in range(50)]
    for name in names:
        assert way.connect(name=name)[0] == "connected"
    with env.chaos.cut("redis", peer="caller") as injection:
        assert {way.ask(name=name)[0] for name in names} <= {"reset", "closed"}
    assert injection.evidence["cut"] >= 50


def same(found: object, wanted: object) -> None:
    """With both in the message."""
    assert found == wanted

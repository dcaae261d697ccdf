"""What tests of network faults look at: a service's interfaces and rules, and packets of their own between services."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from envctl.engine.addresses import HOST, Addresses, addresses

if TYPE_CHECKING:
    from envctl.environment import Environment
    from envctl.site import Site

NOTHING = {"token": "0" * 8, "directions": []}
"""A wire of no fault."""

PORTRAIT = """
exec 2>&-
ip -o link; tc qdisc; nft list ruleset
for device in $(ls /proc/sys/net/ipv4/conf); do tc filter show dev $device; tc filter show dev $device ingress; done
"""


def site(env: Environment, service: str) -> Site:
    """Where a fault on it works."""
    return env.chaos._ward.site(service)


def inside(env: Environment, service: str, *command: str) -> str:
    """What a command says in the network namespace of a service; it must succeed."""
    at = site(env, service)
    return inside_of(at, at.hands.pid(at.container.id), *command)


def inside_of(at: Site, pid: int, *command: str) -> str:
    """The same, in that of a process."""
    done = at.hands.operate(at.environment, ["nsenter", f"--net=/proc/{pid}/ns/net", *command])
    assert done.exit_code == 0, done.output
    return done.output


def portrait(env: Environment, service: str) -> str:
    """Its interfaces, shapers, filters and rules."""
    return inside(env, service, "sh", "-c", PORTRAIT)


def packets(env: Environment, source: str, sink: str, **settings: Any) -> dict[str, Any]:  # noqa: ANN401 - of the probe
    """What became of datagrams from one service, or the host, to another (see `engine.operations.probing`)."""
    return measured(env, probe(env, source, sink, **settings))[0]


def come(env: Environment, *ways: tuple[str, str]) -> list[int]:
    """How many of three packets come, each way."""
    told = measured(env, *(probe(env, source, sink, wait=0.3) for source, sink in ways))
    return [int(one["received"]) for one in told]


def address_of(env: Environment, sink: str, source: str, family: str) -> str:
    """Where the one is reached from the other."""
    return _place(env, sink, source).reached_from(_place(env, source, sink))[family]


def probe(env: Environment, source: str, sink: str, family: str = "v4", **settings: Any) -> dict[str, Any]:  # noqa: ANN401
    """As an operation takes it."""
    begin, end = _place(env, source, sink), _place(env, sink, source)
    wanted = {"port": None, "side": "to", "count": 3, "every": 0.001, "size": 64, "wait": 0.5, **settings}
    return {"from": begin.pid, "to": end.pid, "address": end.reached_from(begin)[family], **wanted}


def measured(env: Environment, *probes: dict[str, Any]) -> list[dict[str, Any]]:
    """What became of their datagrams."""
    told = {"backend": "tc", "wire": {**NOTHING, "pid": probes[0]["from"]}, "probes": list(probes)}
    return list(env.chaos._ward.hands.operation(env.name, "network.measure", **told)["after"])


def flood(env: Environment, source: str, sink: str, **settings: Any) -> float:  # noqa: ANN401
    """The rate, in bits a second, at which many datagrams come that are sent at once; of a shaped way with 4 kB at
    once.
    """
    how = {"skip": 4096, "overhead": 42, "wait": 3.0}
    told = packets(env, source, sink, count=30, size=1000, flood=how, **settings)
    assert told["received"] == told["sent"]
    return float(told["rate"])


def _place(env: Environment, name: str, other: str) -> Addresses:
    at = site(env, name if name != HOST else other)
    found = addresses(at.hands.inspect(at.container.id))
    return replace(found.host, pid=at.hands.witness(env.name)) if name == HOST else found

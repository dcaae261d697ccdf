"""What the faults of packets and connections share: with whom, by which ports, which way.

They touch only what comes from or goes to other machines and containers: loopback, and so Docker's DNS, health checks
and `docker exec`, is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.engine.addresses import HOST, Addresses, addresses
from envctl.faults.fault import JSON, parameter
from envctl.faults.network import relayed
from envctl.faults.network.namespace import SHARED, InNamespace
from envctl.faults.values import listing, ports, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.protocols import Service
    from envctl.site import Site

DIRECTIONS: Mapping[str, str] = {
    "in": "what comes to the service",
    "out": "what it sends",
    "both": "what comes and what it sends",
}


def label(what: str, family: str) -> str:
    """What a probe is called: IPv4's by what it shows."""
    return what if family == "v4" else f"{what} {family}"


@dataclass(frozen=True)
class NetworkFault(InNamespace):
    """One thing that can happen to the packets of a service's container, with all or some of its peers."""

    peer: str = parameter(
        "",
        "With whom: `host`, or services, separated by commas; everybody without it.",
        kind=listing,
        metavar="NAMES",
        also="--from",
    )
    port: str = parameter(
        "", "Only packets with such a port on either side, separated by commas.", kind=listing, metavar="PORTS"
    )
    direction: str = parameter("both", "Which way.", choices=DIRECTIONS)

    def sample(self) -> JSON:
        """How it is measured: `count` datagrams, one `every` so many seconds, of `size` bytes; `wait` seconds for the
        last one.
        """
        return {"count": 5, "every": 0.002, "size": 64, "wait": 0.1}

    def problems(self, service: Service) -> Iterable[str]:
        """A back end that is none, ports that are none, and the service as its own peer."""
        yield from super().problems(service)
        if wanted := ports(self.port)[1]:
            yield f"--port: wanted {wanted}, found {self.port!r}"
        if service.name in words(self.peer):
            yield f"--peer: wanted another service than {service.name} itself, which talks to itself by loopback"

    def problems_at(self, site: Site) -> Iterable[str]:
        """Peers that are not there, with what is."""
        if not self.peer:
            return
        known = {HOST, *(one.service for one in site.engine.containers(site.environment))} - {site.name}
        for name in words(self.peer):
            if name not in known and name != site.name:
                yield f"--peer: wanted one of {', '.join(sorted(known))}, found {name!r}"

    @property
    def ways(self) -> list[str]:
        """`in`, `out`."""
        return ["in", "out"] if self.direction == "both" else [self.direction]

    def claims(self, site: Site) -> Sequence[str]:
        """Nothing, since several go together; but of a back end with one place that place."""
        return [f"the shaper of what goes {way}" for way in self.ways] if self.chosen(site) in SHARED else ()

    def selection(self, site: Site, own: Addresses) -> tuple[JSON, Addresses]:
        """The peers by their addresses; the first of them is the one by which it is measured."""
        peers = [self._peer(site, own, name) for name in words(self.peer)]
        selected: JSON = {
            "directions": self.ways,
            "ports": ports(self.port)[0],
            "v4": [address for one in peers for address in one.v4] if peers else None,
            "v6": [address for one in peers for address in one.v6] if peers else None,
        }
        return selected, peers[0] if peers else own.host

    def probes(self, site: Site, wire: JSON, own: Addresses, other: Addresses) -> dict[str, JSON]:
        """Datagrams in each direction, by each family of addresses."""
        del site
        port = wire["ports"][0] if wire["ports"] else None
        toward = {"in": (other, own, "to"), "out": (own, other, "from")}
        found = {}
        for way in wire["directions"]:
            source, sink, side = toward[way]
            ends = {"from": source.pid, "to": sink.pid, "port": port, "side": side}
            for family, address in sink.reached_from(source).items():
                found[label(way, family)] = {**ends, "address": address, **self.sample()}
        return found

    @property
    def ports_by_relay(self) -> list[int]:
        """Those that were named."""
        return list(ports(self.port)[0])

    def beside_relay(self, site: Site) -> str:
        """Others than who comes by published ports."""
        return relayed.obstacle(site, words(self.peer), self.ports_by_relay)

    def _peer(self, site: Site, own: Addresses, name: str) -> Addresses:
        if name == HOST:
            return own.host
        found = next(one for one in site.engine.containers(site.environment) if one.service == name)
        return addresses(site.hands.inspect(found.id))

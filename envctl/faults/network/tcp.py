"""What the faults of TCP connections share: how they are measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.faults.fault import JSON, parameter
from envctl.faults.network.wire import NetworkFault, label
from envctl.protocols import Lost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.engine.addresses import Addresses
    from envctl.protocols import Service
    from envctl.site import Site

WAYS: Mapping[str, str] = {"in": "those that others open to the service", "out": "those that it opens to others"}

PATIENCE = 0.1
"""Seconds in which a connection on the same machine is open, or is taken for one that never will be."""

_PATIENT = 1.0
"""The same through the relay, which has to wait for a processor as others do."""


@dataclass(frozen=True)
class ConnectionFault(NetworkFault):
    """One thing that can happen to the TCP connections of a service."""

    direction: str = parameter("in", "Which connections.", choices=WAYS)

    def problems(self, service: Service) -> Iterable[str]:
        """Connections that it opens to nobody in particular."""
        yield from super().problems(service)
        if self.direction == "out" and not self.peer:
            yield "--direction out: wanted a service whose connections are meant, with --peer; found none"
        if self.direction != "out" and not self.port and not service.ports:
            yield f"--port: wanted the ports that are meant, for {service.name} is not known to have any; found none"

    def probes(self, site: Site, wire: JSON, own: Addresses, other: Addresses) -> dict[str, JSON]:
        """One connection that is opened before the fault, and one after it; by each family of addresses."""
        source, sink = (own, other) if self.direction == "out" else (other, own)
        known = [*wire["ports"], *self._served(site)]
        if not known:
            return {}
        ends = {"kind": "connection", "from": source.pid, "port": known[0], "wait": PATIENCE}
        found = sink.reached_from(source).items()
        return {label("connection", family): {**ends, "address": address} for family, address in found}

    def beside_relay(self, site: Site) -> str:
        """And connections that it opens itself."""
        opens = "connections that it opens itself do not come through the relay" if self.direction == "out" else ""
        return opens or super().beside_relay(site)

    def probes_by_relay(self) -> dict[str, JSON]:
        """The same two connections."""
        return {"connection": {"kind": "connection", "wait": _PATIENT}}

    def _served(self, site: Site) -> list[int]:
        """The ports of whoever accepts the connections."""
        if self.direction != "out":
            return [*site.service.ports.values()]
        name = self.peer.split(",")[0].strip()
        found = [one for one in site.engine.containers(site.environment) if one.service == name]
        return [port for one in found for port in one.ports]


def require_open(what: str, before: JSON) -> None:
    """That there was a connection before, without which nothing can be shown.

    Raises:
        Lost: there was none.

    """
    if before["new"] != "connected":
        raise Lost(f"a {what} cannot be opened without it either ({before['new']}): nothing could be shown")

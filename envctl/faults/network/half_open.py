"""Leave connections half open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.fault import JSON, parameter
from envctl.faults.network.tcp import ConnectionFault, require_open
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.engine.addresses import Addresses
    from envctl.site import Site


@dataclass(frozen=True)
class HalfOpen(ConnectionFault):
    """Have one side forget its connections while the other believes in them, as after a power cut or behind a firewall
    that dropped its table.

    `--forgets service`: the service's ends of the connections that are there are gone, and no word of that gets out;
    what clients send is never answered, until they run into a time limit of their own. New connections are fine.
    `--forgets clients`: that clients close or reset a connection is never heard; the service keeps it. When it is over,
    who still sends is told.
    """

    name: ClassVar[str] = "half-open"
    summary: ClassVar[str] = "Have one side forget live connections, and the other not know."
    backends: ClassVar[Mapping[str, str]] = {"nft": "the kernel drops what would tell, and forgets to in time"}

    forgets: str = parameter(
        "service",
        "Which side.",
        choices={"service": "the service forgets its clients", "clients": "the service never hears that clients leave"},
    )

    def how(self, backend: str, site: Site) -> JSON:
        """What would tell the other side is dropped."""
        del backend, site
        if self.forgets == "clients":
            return {"protocol": "tcp", "match": "tcp flags & (fin | rst) != 0", "verdict": "drop"}
        return {"live": True, "cut": True, "ways": [self.direction], "verdict": "drop"}

    def selection(self, site: Site, own: Addresses) -> tuple[JSON, Addresses]:
        """What the service's side would say goes out, what the clients' side says comes in."""
        selected, other = super().selection(site, own)
        return {**selected, "directions": ["out" if self.forgets == "service" else "in"]}, other

    def judge(self, what: str, before: JSON, after: JSON) -> None:
        """The live one looks open, whatever the service knows, and a new one is accepted."""
        require_open(what, before)
        if after.get("live", "open") != "open" or after["new"] != "connected":
            raise NotReady(f"a live {what} is {after.get('live')}, a new one {after['new']}")

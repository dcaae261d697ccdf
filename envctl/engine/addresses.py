"""Where a container is reached on the networks it is in, as the engine says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST = "host"
"""The engine's own machine, as a peer."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The main process's id, on the engine's machine, and the addresses, IPv4 and IPv6, by network; of the machine
    itself no process is known.
    """

    pid: int
    v4_of: Mapping[str, str]
    v6_of: Mapping[str, str]
    gateways: Addresses | None = None

    @property
    def v4(self) -> list[str]:
        """All that it has."""
        return list(self.v4_of.values())

    @property
    def v6(self) -> list[str]:
        """All that it has."""
        return list(self.v6_of.values())

    def reached_from(self, other: Addresses) -> dict[str, str]:
        """Its address on a network that both are in: `v4`, and `v6` where both have one there.

        Raises:
            NotReady: they share none.

        """
        found = {}
        for family, mine, theirs in (("v4", self.v4_of, other.v4_of), ("v6", self.v6_of, other.v6_of)):
            if shared := [mine[network] for network in mine if network in theirs]:
                found[family] = shared[0]
        if not found:
            raise NotReady("they share no network")
        return found

    @property
    def host(self) -> Addresses:
        """The machine, as this container sees it: what comes through published ports has the gateway's address."""
        assert self.gateways is not None  # noqa: S101 - made by `addresses`
        return self.gateways


def addresses(inspected: Mapping[str, Any]) -> Addresses:
    """What `docker inspect` says.

    Raises:
        NotReady: it does not run, or is in no network.

    """
    networks, pid = inspected["NetworkSettings"]["Networks"], int(inspected["State"]["Pid"])

    def column(key: str) -> dict[str, str]:
        return {name: str(one[key]) for name, one in networks.items() if one.get(key)}

    host = Addresses(0, column("Gateway"), column("IPv6Gateway"))
    found = Addresses(pid, column("IPAddress"), column("GlobalIPv6Address"), host)
    if not pid or not found.v4 + found.v6:
        raise NotReady("its container does not run, or is in no network")
    return found

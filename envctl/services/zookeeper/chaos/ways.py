"""How ZooKeeper is hurt in ways of its own."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit
from envctl.protocols import NotReady
from envctl.services.zookeeper.chaos.sessions import expire, owners, sessions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.capabilities import Way
    from envctl.site import Site

JSON = dict[str, Any]

KAFKA, ALL = "kafka", "all"
_BROKERS, _CONTROLLER = "/brokers/ids/", "/controller"
_TIMEOUT = 5.0


class ExpireSession:
    """`Way`."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType(
        {
            "client": {
                KAFKA: "the broker's session: its registration goes, and comes back with a new one",
                ALL: "every session there is",
            }
        }
    )

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """Two ways to say whose, or a node that can be none."""
        if wanted["node"] and wanted["client"]:
            yield f"--client: wanted none with --node, found {wanted['client']!r}"
        if wanted["node"] and not wanted["node"].startswith("/"):
            yield f"--node: wanted a path such as /brokers/ids/1, found {wanted['node']!r}"

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """One at a time."""
        del wanted
        return ("expire-session",)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """The sessions, and the nodes that go with them."""
        there = sessions(site.at, _TIMEOUT)
        if wanted["node"]:
            found = {one: nodes for one, nodes in there.items() if wanted["node"] in nodes}
        elif wanted["client"] == ALL:
            found = there
        else:
            found = {one: nodes for one, nodes in there.items() if any(node.startswith(_BROKERS) for node in nodes)}
        if not found:
            nodes = sorted(node for held in there.values() for node in held)
            raise FaultUnfit(
                f"a session {'that holds ' + wanted['node'] if wanted['node'] else 'of Kafka'}",
                f"{len(there)} sessions, which hold {', '.join(nodes) or 'no node'}",
                "name the node of one, or wait until the client has registered",
            )
        at = owners(site.at, _TIMEOUT)
        return {"sessions": found, "owners": {one: at[one] for one in found if one in at}}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """End them."""
        del wanted
        for one in seen["sessions"]:
            expire(site.at, one, _TIMEOUT)

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """They are no more."""
        del wanted
        if left := seen["sessions"].keys() & sessions(site.at, _TIMEOUT).keys():
            raise NotReady(f"{', '.join(sorted(left))} is still open")
        return {"expired": seen["sessions"]}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Clients open new ones by themselves."""

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """What Kafka had registered is registered again, by whichever session."""
        del wanted
        there = sessions(site.at, _TIMEOUT)
        now = {node: one for one, nodes in there.items() for node in nodes}
        before = {node: one for one, nodes in seen["sessions"].items() for node in nodes}
        kafkas = [node for node in before if node.startswith(_BROKERS) or node == _CONTROLLER]
        if missing := [node for node in kafkas if node not in now]:
            raise NotReady(f"Kafka has not registered {', '.join(missing)} again")
        had, has = _kafkas(seen["sessions"], seen.get("owners", {})), _kafkas(there, owners(site.at, _TIMEOUT))
        if has < had:
            raise NotReady(f"Kafka has {has} of its {had} sessions again")
        return {
            "registered again": {node: now[node] for node in kafkas},
            "not there": sorted(node for node in before if node not in now),
        }


def _kafkas(there: Mapping[str, Sequence[str]], at: Mapping[str, str]) -> int:
    """How many sessions the broker has: by one it registers, by another, which holds no node, it hears of rights."""
    homes = {at[one] for one, nodes in there.items() if one in at and any(node.startswith(_BROKERS) for node in nodes)}
    return sum(address in homes for address in at.values())


class ZooKeeperWays:
    """`HasWays`."""

    ways: Mapping[str, Way] = MappingProxyType({"expire-session": ExpireSession()})

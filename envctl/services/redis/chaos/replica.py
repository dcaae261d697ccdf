"""A Redis that takes itself for the replica of a master that nobody reaches: it refuses to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit
from envctl.protocols import NotReady
from envctl.services.redis.chaos.conversation import Conversation, text
from envctl.services.redis.chaos.probes import accepted, harmless_write, refusals
from envctl.services.redis.chaos.settings import SettingsWay
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]

_NOBODY, _PORT = "127.0.0.1", "1"
"""In its own container, on a port that no service has: what answered there could not be a Redis with other data."""


class ReadOnly(SettingsWay):
    """`REPLICAOF` an address at which nobody is, and `REPLICAOF NO ONE`."""

    names = ("replica-read-only", "replica-serve-stale-data")

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """Its role, and what it does in that."""
        return ["role", *super().claims(wanted)]

    def during(self, server: Conversation, wanted: Mapping[str, Any], before: Mapping[str, str]) -> dict[str, str]:
        """Reads must go on, writes must not, whatever was configured for a replica."""
        del server, wanted
        return dict.fromkeys(before, "yes")

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """A master, and its replication ID.

        Raises:
            FaultUnfit: it is a replica already.

        """
        with Conversation(site.at, admin_of(site.at)) as server:
            role = replication(server)
        if role["role"] != "master":
            found = f"it is a replica of {role.get('master_host')}:{role.get('master_port')}"
            raise FaultUnfit("a Redis that takes writes", found, "it is read-only as it is")
        return {**super().look(site, wanted), "replid": role["master_replid"]}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Make it a replica."""
        super().hurt(site, wanted, seen)
        with Conversation(site.at, admin_of(site.at)) as server:
            server.ask("REPLICAOF", _NOBODY, _PORT)

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """A write is refused."""
        del wanted, seen
        return refusals(site, harmless_write(), "READONLY")

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Make it the master again, where it is a replica of nobody still."""
        with Conversation(site.at, admin_of(site.at)) as server:
            if _ours(replication(server)):
                server.ask("REPLICAOF", "NO", "ONE")
        super().mend(site, wanted, seen)

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """It is a master and takes writes, unless somebody else has given it a master; its settings are as before."""
        with Conversation(site.at, admin_of(site.at)) as server:
            role = replication(server)
        if _ours(role):
            raise NotReady("it is still a replica of nobody")
        found = super().check_mended(site, wanted, seen)
        if role["role"] != "master":
            return {**found, "role": f"replica of {role['master_host']}, which somebody else has set, and left"}
        kept = seen["replid"] in (role["master_replid"], role["master_replid2"])
        known = "known still" if kept else "another: Redis was started anew"
        return {**found, "role": "master", "write": accepted(site, "READONLY"), "replication id of before": known}


def replication(server: Conversation) -> dict[str, str]:
    """What it says of its role."""
    lines = text(server.ask("INFO", "replication")).splitlines()
    return dict(line.partition(":")[::2] for line in lines if ":" in line)


def _ours(role: Mapping[str, str]) -> bool:
    return (role.get("master_host"), role.get("master_port")) == (_NOBODY, _PORT)

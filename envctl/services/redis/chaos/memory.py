"""A Redis whose memory is used up: writes are refused, nothing is evicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.services.redis.chaos.conversation import Conversation, text
from envctl.services.redis.chaos.probes import accepted, close_live, harmless_write, refusals
from envctl.services.redis.chaos.settings import SettingsWay, current
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.site import Site

JSON = dict[str, Any]

MEMORY = ("maxmemory", "maxmemory-policy", "maxmemory-clients")


class OutOfMemory(SettingsWay):
    """`maxmemory` below what is in use, and the policy that evicts nothing."""

    names = MEMORY

    def during(self, server: Conversation, wanted: Mapping[str, Any], before: Mapping[str, str]) -> dict[str, str]:
        """With no room at all a limit that is always exceeded: deleting keys makes none."""
        limit, room = int(before["maxmemory"]), wanted["room"]
        wished = used(server) + room if room else 1
        low = str(min(limit, wished) if limit else wished)
        return {"maxmemory": low, "maxmemory-policy": "noeviction", **spared_clients(before)}

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Writes are refused; where there is room, the limit is there."""
        del seen
        if not wanted["room"]:
            return refusals(site, harmless_write(), "OOM")
        close_live(site)
        with Conversation(site.at, admin_of(site.at)) as server:
            return {**current(server, MEMORY[:2]), "used_memory": used(server)}

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Writes go through, unless somebody else has set a limit."""
        found = super().check_mended(site, wanted, seen)
        return found if "now" in found else {**found, "write": accepted(site, "OOM")}


def used(server: Conversation) -> int:
    """Bytes that Redis counts as its own."""
    lines = text(server.ask("INFO", "memory")).splitlines()
    return int(next(line.partition(":")[2] for line in lines if line.startswith("used_memory:")))


def spared_clients(before: Mapping[str, str]) -> dict[str, str]:
    """Clients must not be cut because their share is one of `maxmemory`."""
    return {"maxmemory-clients": "0"} if before.get("maxmemory-clients", "").endswith("%") else {}

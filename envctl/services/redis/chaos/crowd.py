"""A Redis that has as many clients as it takes: a program in its network namespace holds them.

Whoever heals could not log in either. So the program is ended first, by the surgeon, without a word to Redis: then
there is room for as many as it held.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit
from envctl.protocols import NotReady
from envctl.services.redis.chaos.conversation import Conversation, Refusal, text
from envctl.services.redis.chaos.probes import identity
from envctl.services.redis.chaos.programs import begin, end, state
from envctl.services.redis.chaos.settings import SettingsWay, change, current
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.site import Site

JSON = dict[str, Any]

_CROWD = "redis_crowd"

_MANY = 256
"""Connections that are held at least, and so are free when healing comes. Each costs the server up to 20 KB; to hold
all 10 000 that it takes by itself could have it evict keys, or the kernel kill it. So `maxclients` is lowered."""

_MORE = 8
"""Connections beyond --keep that are tried: clients may have left."""

_GRACE = 15.0


class ExhaustConnections(SettingsWay):
    """`maxclients`, and a crowd."""

    names = ("maxclients",)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """How many there are, and may be.

        Raises:
            FaultUnfit: there is no room for as many as shall be kept.

        """
        from envctl.services.redis.chaos.aftermath import run_of

        with Conversation(site.at, admin_of(site.at)) as server:
            (most,) = current(server, self.names).values()
            there, keep = _clients(server), wanted["keep"]
            if there + keep >= int(most):
                raise FaultUnfit(
                    f"{keep} connections of {site.name} kept free",
                    f"it takes {most}, and has {there}",
                    "give a smaller --keep",
                )
            low = min(int(most), there + keep + _MANY)
            return {
                "run": run_of(server),
                "before": {"maxclients": most},
                "during": {"maxclients": str(low)},
                "crowd": f"envctl-crowd-{secrets.token_hex(6)}",
                "seconds": site.lasts + _GRACE,
            }

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Lower what it takes, and bring the crowd."""
        with Conversation(site.at, admin_of(site.at)) as server:
            change(server, seen["during"])
        begin(site, _CROWD, seen["crowd"], seen["seconds"], wanted["keep"])

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """A new connection is refused."""
        crowd = state(site, _CROWD, seen["crowd"])
        if not crowd["alive"]:
            raise NotReady("nobody holds connections")
        free, said = _free(site, wanted["keep"] + _MORE)
        if free and not wanted["keep"]:
            raise NotReady(f"{free} connections could be made")
        return {"new": said, "free": free, "held": crowd["held"]}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Send the crowd away, then put the setting back."""
        end(site, _CROWD, seen["crowd"])
        super().mend(site, wanted, seen)

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Nobody holds connections, and a new one is served."""
        if state(site, _CROWD, seen["crowd"])["alive"]:
            raise NotReady("connections are still held")
        return {**super().check_mended(site, wanted, seen), "new": _served(site)}


def _clients(server: Conversation) -> int:
    lines = text(server.ask("INFO", "clients")).splitlines()
    return int(next(line.partition(":")[2] for line in lines if line.startswith("connected_clients:")))


def _free(site: Site, tries: int) -> tuple[int, str]:
    """How many connections can be made, and what the next one is told.

    Raises:
        NotReady: none is refused, or not for that reason.

    """
    with ExitStack() as made:
        for free in range(tries):
            try:
                made.enter_context(Conversation(site.at, identity(site)))
            except Refusal as said:
                if "max number of clients" not in str(said):
                    raise
                return free, str(said)
    raise NotReady(f"{tries} connections could be made")


def _served(site: Site) -> str:
    """See that a new connection is let in.

    Raises:
        NotReady: it is not.

    """
    with Conversation(site.at, identity(site)) as new:
        return text(new.ask("PING"))

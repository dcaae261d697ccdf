"""A Redis whose one thread is busy now and then, as with KEYS or a long script: everybody waits."""

from __future__ import annotations

import secrets
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.redis.chaos.conversation import Conversation, text
from envctl.services.redis.chaos.probes import identity
from envctl.services.redis.chaos.programs import begin, end, state
from envctl.services.wire import admin_of
from envctl.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]

_PROGRAM = "redis_busy"
_MOST = 5.0
"""Seconds: from then on Redis says BUSY instead (`busy-reply-threshold`)."""
_GRACE = 15.0
_WATCHED = 4.0
"""Seconds for which a client of envctl's own waits to be kept waiting; what comes more seldom the program tells."""


class BlockServer:
    """`Way`."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """Times that cannot be."""
        if not 0 < wanted["busy"] < _MOST:
            yield f"--busy: wanted more than 0 and less than {_MOST:g} s, found {wanted['busy']:g}"
        if wanted["every"] < wanted["busy"]:
            yield f"--every: wanted no less than --busy, found {wanted['every']:g}"

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """One that keeps it busy."""
        del wanted
        return (_PROGRAM,)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """A name, and that it runs."""
        del wanted
        site.running()
        return {"worker": f"envctl-busy-{secrets.token_hex(6)}", "seconds": site.lasts + _GRACE}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Begin; the first time is over when this returns."""
        admin = admin_of(site.at)
        login = {"ENVCTL_USER": admin.username, "ENVCTL_PASSWORD": admin.password}
        limits = (seen["seconds"], wanted["busy"], wanted["every"])
        begin(site, _PROGRAM, seen["worker"], *limits, login=login)

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """How long a client was kept waiting, and how long the server was busy."""
        there = state(site, _PROGRAM, seen["worker"])
        if not there["alive"] or there["last"] < wanted["busy"]:
            raise NotReady(f"the server is not kept busy: {there}")
        found: JSON = {"busy": round(there["last"], 3), "times": there["times"]}
        if wanted["every"] + 2 * wanted["busy"] <= _WATCHED:
            found["ping"] = waited = _longest(site, wanted["every"] + 2 * wanted["busy"])
            if waited < wanted["busy"] / 2:
                raise NotReady(f"PING was never kept waiting for longer than {waited:.3f} s")
        return found

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """End it, without a word to the server."""
        del wanted
        end(site, _PROGRAM, seen["worker"])

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """It is gone, and so is its connection."""
        del wanted
        if state(site, _PROGRAM, seen["worker"])["alive"]:
            raise NotReady("the server is still kept busy")
        with Conversation(site.at, admin_of(site.at)) as server:
            if f" name={seen['worker']} " in text(server.ask("CLIENT", "LIST")):
                raise NotReady("what keeps the server busy is still connected")
            start = time.monotonic()
            server.ask("PING")
            return {"worker": "gone", "ping": round(time.monotonic() - start, 4)}


def _longest(site: Site, seconds: float) -> float:
    """The longest that one of many PINGs took, in seconds."""
    longest, end = 0.0, Deadline(seconds)
    with Conversation(site.at, identity(site), 2 * _MOST) as app:
        while not end.passed:
            start = time.monotonic()
            app.ask("PING")
            longest = max(longest, time.monotonic() - start)
    return round(longest, 3)

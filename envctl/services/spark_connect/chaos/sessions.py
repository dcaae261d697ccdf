"""Losing clients' sessions."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit
from envctl.protocols import NotReady
from envctl.services.spark_connect.chaos.agent import ask
from envctl.services.spark_connect.chaos.force import audience, audience_problems, require_same
from envctl.services.spark_connect.chaos.witness import Witness
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.capabilities import JSON, Way
    from envctl.site import Site

_CLOSED = "INVALID_HANDLE.SESSION_CLOSED"


class Sessions:
    """Sessions end from inside the server, one of envctl's own among them."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType(
        {
            "how": MappingProxyType(
                {
                    "closed": "as after an hour without a call: the server knows that it was there, SESSION_CLOSED",
                    "forgotten": "as after a restart of the server: it never was there, NO_ACTIVE_SESSION",
                }
            )
        }
    )

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """Who is meant."""
        return audience_problems(wanted)

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """Nothing that lasts."""
        del wanted
        return ("spark sessions",)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """Which sessions there are that fit."""
        started_at = site.running().started_at
        found = list(ask(site, "sessions", **audience(wanted)).get("session", ()))
        if not found and (wanted["user"] or wanted["session"]):
            raise FaultUnfit(
                f"a session of {site.name} with user {wanted['user'] or 'any'!r}, id {wanted['session'] or 'any'!r}",
                "there is none",
                "open it first, or leave --user and --session out: then all sessions are lost",
            )
        probe = Witness(site.at, app_of(site.at))
        probe.close()
        return {"started_at": started_at, "sessions": found, "probe": probe.session}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Lose them."""
        probe = Witness(site.at, app_of(site.at), seen["probe"])
        site.kept["probe"], site.kept["was"] = probe, probe.ask()
        how = wanted["how"] or next(iter(self.words["how"]))
        ask(site, "lose", **audience(wanted), probe=seen["probe"], how=how)

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """None of them is there, and envctl's own is not the one that it was."""
        there = ask(site, "sessions", **audience(wanted)).get("session", ())
        if still := sorted(set(there) & set(seen["sessions"])):
            raise NotReady(f"sessions are still there: {', '.join(still)}")
        with site.kept["probe"] as probe:
            try:
                told = "another one under its id" if probe.ask() != site.kept["was"] else ""
            except NotReady as said:
                if _CLOSED not in str(said):
                    raise
                told = str(said)
        if not told:
            raise NotReady("a session of envctl's own is still there")
        return {"lost": seen["sessions"], "envctl's own session": told}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Nothing can be brought back; what envctl opened itself is closed."""
        del wanted
        require_same(site, seen)
        with Witness(site.at, app_of(site.at), seen["probe"]):
            pass

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """A new session works."""
        del wanted, seen
        site.ping()
        return {"a new session": "answered"}


if TYPE_CHECKING:
    _way: Way = Sessions()

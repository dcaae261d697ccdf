"""What the ways share that stay in force in the server for a time: begin, end, and see that nothing is left."""

from __future__ import annotations

import re
import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import Lost, NotReady
from envctl.services.spark_connect.chaos.agent import ask
from envctl.services.spark_connect.chaos.witness import Witness
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.capabilities import JSON
    from envctl.site import Site

_GRACE = 15
"""Seconds beyond the fault's own after which it ends by itself, when nobody is left to heal."""

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST = 100
"""Bytes of a user's name: envctl's own messages hold no longer ones."""


class Force:
    """A way that is in force in the server under a token, until it is ended or its time is over."""

    command = ""
    counts = ""
    """What the server counts of it."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """Who is meant, and numbers that are too small."""
        yield from audience_problems(wanted)
        for name in ("every", "attempts"):
            if name in wanted and wanted[name] < 1:
                yield f"--{name}: wanted 1 or more, found {wanted[name]}"

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """The jobs: whoever proves that they go on again must not meet another who hurts them."""
        del wanted
        return ("spark jobs",)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """The run of the server, and that it lets the agent in."""
        del wanted
        started_at = site.running().started_at
        probe = Witness(site.at, app_of(site.at))
        probe.close()
        token = f"envctl_{secrets.token_hex(4)}"
        ask(site, "state", token=token)
        return {
            "token": token,
            "seconds": round(site.lasts) + _GRACE,
            "started_at": started_at,
            "probe": probe.session,
        }

    def begin(self, site: Site, seen: JSON, **words: object) -> JSON:
        """Put it in force; what the server says of itself then."""
        known = {key: seen[key] for key in ("token", "seconds", "probe")}
        return {key: values[0] for key, values in ask(site, self.command, **known, **words).items()}

    def state(self, site: Site, seen: JSON) -> dict[str, int]:
        """What the server says of it: numbers, and 1 for yes."""
        said = ask(site, "state", token=seen["token"])
        return {key: int(values[0]) for key, values in said.items()}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """End it."""
        del wanted
        require_same(site, seen)
        said = ask(site, "end", token=seen["token"])
        site.kept["hurt"] = site.kept.get("hurt", 0) + int(said["hurt"][0])

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Nothing of it is in force, and a session of envctl's own gets an answer from a task."""
        del wanted
        require_same(site, seen)
        state = self.state(site, seen)
        if state["in_force"] or state["hooked"]:
            raise NotReady(f"it is still in force: {state}")
        with Witness(site.at, app_of(site.at)) as probe:
            probe.run("SELECT count(*) FROM range(1)")
        counted = {self.counts: site.kept.get("hurt", 0)} if self.counts else {}
        return {"in force": "no", "a task": "succeeded", **counted}


def require_same(site: Site, seen: JSON) -> None:
    """See that the server is the one of the plan.

    Raises:
        Lost: it was started anew.
        NotReady: it does not run.

    """
    if (now := site.running().started_at) != seen["started_at"]:
        raise Lost(f"its container was started anew at {now}, without the fault")


def audience(wanted: Mapping[str, Any]) -> dict[str, str]:
    """Who is meant."""
    return {key: wanted[key] for key in ("user", "session")}


def audience_problems(wanted: Mapping[str, Any]) -> Iterable[str]:
    """A session's id that is none, and a user's name that is too long."""
    session, user = wanted.get("session", ""), wanted.get("user", "")
    if session and not _UUID.fullmatch(session):
        yield f"--session: wanted a session's id (a UUID, `spark.session_id`), found {session!r}"
    if len(user.encode()) > _LONGEST:
        yield f"--user: wanted a name of at most {_LONGEST} bytes, found {len(user.encode())}"

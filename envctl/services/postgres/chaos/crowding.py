"""`exhaust-connections` on PostgreSQL: sessions that are held by a program in its network namespace.

They are of the tests' own identity, so that what the server reserves for superusers stays free: envctl gets in.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.engine.gates import inside, program
from envctl.errors import FaultUnfit
from envctl.model import State
from envctl.protocols import Lost, NotReady
from envctl.services.postgres.chaos.sessions import answering, connect
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]

_KEPT = "exhaust-connections"
_GRACE = 15.0
_MORE = 8
"""Connections beyond --keep that are tried: clients may have left."""
_TIMEOUT = 10.0
_TOO_MANY = "(53300)"

# Slots that are left to those without privileges.
_FREE = """
SELECT (SELECT sum(CASE name WHEN 'max_connections' THEN 1 ELSE -1 END * setting::int) FROM pg_catalog.pg_settings
  WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections'))
  - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend')
"""


class ExhaustConnections:
    """`Way`."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def problems(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """None that could be known without the server."""
        del wanted
        return ()

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """All connections."""
        del wanted
        return ("connections",)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """How many could come.

        Raises:
            FaultUnfit: not as many as shall be kept.

        """
        with connect(site, "postgres") as db, answering():
            # This session has one of those that are free.
            [[free]] = db.execute(f"SELECT 1 + ({_FREE})".encode()).fetchall()
        if free <= wanted["keep"]:
            raise FaultUnfit(
                f"{wanted['keep']} connections kept free", f"there are no more than {free}", "give a smaller --keep"
            )
        crowd = f"envctl-crowd-{secrets.token_hex(6)}"
        return {"crowd": crowd, "seconds": site.lasts + _GRACE, "started_at": site.running().started_at}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Log in a live session, to see that it is served; then bring the crowd."""
        from envctl.services.postgres.session import Session

        site.kept[_KEPT] = Session(site.at, app_of(site.at), "postgres", site.lasts + _TIMEOUT)
        pid, port = site.hands.pid(site.container.id), next(iter(site.service.ports.values()))
        words = (seen["crowd"], port, pid, seen["seconds"], wanted["keep"], app_of(site.at).username)
        _run(site, inside(pid), "begin", *words)

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """A new connection is refused; the one from before is served, and envctl's own is let in."""
        crowd = _run(site, [], "state", seen["crowd"])
        if not crowd["alive"]:
            raise NotReady("nobody holds connections")
        free, said = _free(site, wanted["keep"] + _MORE)
        if free < wanted["keep"]:
            raise NotReady(f"only {free} new connections are let in")
        if (live := site.kept.get(_KEPT)) is not None:
            live.query("SELECT 1")
            _leave(site)
        return {"new": said, "free": free, "held": crowd["held"]}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Send the crowd away."""
        del wanted
        _leave(site)
        before = _run(site, [], "state", seen["crowd"])
        _run(site, [], "end", seen["crowd"])
        now = site.now()
        if not before["alive"] and (now.started_at != seen["started_at"] or now.state is not State.RUNNING):
            raise Lost(f"its container is {now.state}, started {now.started_at}: all connections ended")

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """No session is held, and a new one is served."""
        del wanted
        if _run(site, [], "state", seen["crowd"])["alive"]:
            raise NotReady("connections are still held")
        query = "SELECT FROM pg_catalog.pg_stat_activity WHERE application_name = %s"
        with connect(site, "postgres") as db, answering():
            if left := db.execute(query, [seen["crowd"]]).fetchall():
                raise NotReady(f"{len(left)} sessions are still there")
        site.ping(_TIMEOUT)
        return {"crowd": "gone", "ping": "answered"}


def _leave(site: Site) -> None:
    """End the live session."""
    if (live := site.kept.pop(_KEPT, None)) is not None:
        with suppress(NotReady):  # it went already
            live.__exit__(None)


def _free(site: Site, tries: int) -> tuple[int, str]:
    """How many connections can be made, and what the next one is told.

    Raises:
        NotReady: none is refused, or not for that reason.

    """
    from envctl.services.postgres.session import Session

    with ExitStack() as made:
        for free in range(tries):
            try:
                made.enter_context(Session(site.at, app_of(site.at), "postgres", _TIMEOUT))
            except NotReady as said:
                if _TOO_MANY not in str(said):
                    raise
                return free, str(said)
    raise NotReady(f"{tries} connections could be made")


def _run(site: Site, where: list[str], *arguments: object) -> JSON:
    """Run the program; what it says. Raises as `Hands.ask`."""
    command = [*where, "python3", "-c", program("postgres_crowd"), *map(str, arguments)]
    return dict(site.hands.ask(site.environment, command))

"""`hold-vacuum` on PostgreSQL: a transaction that does not end, and what it may still see is kept."""

from __future__ import annotations

import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.postgres.chaos import holding
from envctl.services.postgres.chaos.gates import PREFIX
from envctl.services.postgres.chaos.sessions import HOME, absent, answering, connect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.services.postgres.chaos.sessions import Connection
    from envctl.site import Site

JSON = dict[str, Any]

_OTHERS = """
SELECT pid, coalesce(nullif(application_name, ''), 'no name') FROM pg_catalog.pg_stat_activity
WHERE datname = current_database() AND backend_xmin IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()
ORDER BY xact_start LIMIT 1
"""


class HoldVacuum:
    """`Way`."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def problems(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """None."""
        del wanted
        return ()

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """Its kind."""
        del wanted
        return ("vacuum",)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """Which life of the server it is."""
        del wanted
        with connect(site) as db:
            life = holding.life(db)
        return {"token": secrets.token_hex(8), "life": life, "seconds": site.lasts + holding.GRACE}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Begin the session: its first statement takes the snapshot."""
        take = "SELECT pg_catalog.pg_current_xact_id()" if wanted["writing"] else "SELECT 1"
        sleep = f"SELECT pg_catalog.pg_sleep({seen['seconds']})"
        holding.begin(site, HOME, seen["token"], "BEGIN ISOLATION LEVEL REPEATABLE READ", take, sleep)

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """It has a snapshot, and VACUUM leaves a row that was deleted after it."""
        with connect(site) as db:
            session = holding.require(db, seen["token"])
            if session["xmin"] is None or (wanted["writing"] and session["xid"] is None):
                raise NotReady("its transaction has not begun yet")
            if not _kept(db, seen["token"]):
                raise NotReady("VACUUM removes what was deleted")
        return {**session, "vacuum": "leaves a row that was deleted after it"}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """End the session, and remove the table by which it was seen, if somebody died over it."""
        del wanted
        holding.end(site, seen["token"], seen["life"])
        if not absent(site, HOME):
            with connect(site) as db, answering():
                _sweep(db, seen["token"])

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """The session is gone, and VACUUM removes a deleted row, unless others hold it."""
        del wanted
        found = holding.require_gone(site, seen["token"])
        if absent(site, HOME):
            return found
        with connect(site) as db, answering():
            if not _kept(db, seen["token"]):
                return {**found, "vacuum": "removes what was deleted"}
            others = db.execute(_OTHERS).fetchall()
        if not others:
            raise NotReady("VACUUM leaves what was deleted")
        return {**found, "vacuum": f"held by pid {others[0][0]} ({others[0][1]})"}


def _kept(db: Connection, token: str) -> bool:
    """Whether VACUUM leaves a row that was deleted now, in a table of envctl's own: an empty one has no size."""
    schema = PREFIX + token
    with answering():
        _sweep(db, token)
        db.execute(f"CREATE SCHEMA {schema}".encode())
        try:
            db.execute(f"CREATE TABLE {schema}.probe AS SELECT 1 AS one".encode())
            db.execute(f"DELETE FROM {schema}.probe".encode())
            db.execute(f"VACUUM {schema}.probe".encode())
            [[size]] = db.execute(f"SELECT pg_catalog.pg_relation_size('{schema}.probe')".encode()).fetchall()
        finally:
            _sweep(db, token)
    return bool(size)


def _sweep(db: Connection, token: str) -> None:
    db.execute(f"DROP SCHEMA IF EXISTS {PREFIX}{token} CASCADE".encode())

"""`lock` on PostgreSQL: tables, or rows of one, as a transaction locks them that does not end."""

from __future__ import annotations

import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit
from envctl.protocols import NotReady
from envctl.services.postgres.chaos import holding, tables
from envctl.services.postgres.chaos.sessions import answering, connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from envctl.services.postgres.chaos.sessions import Connection
    from envctl.site import Site

JSON = dict[str, Any]

_TABLE, _ROWS = "access-exclusive", "for-update"
_OF_ROWS = frozenset({"for-update", "for-share"})
_ATTEMPTS = 60

# All or none, and anew until it works: to wait for one while holding another could be a deadlock with a client.
_LOCK = """
DO $lock$ BEGIN
  FOR attempt IN 1..{attempts} LOOP
    BEGIN {lock} NOWAIT; RETURN; EXCEPTION WHEN lock_not_available THEN PERFORM pg_catalog.pg_sleep(0.05); END;
  END LOOP;
  {lock};
END $lock$
"""


class Lock:
    """`Way`."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType(
        {
            "strength": {
                "access-exclusive": "even reading waits, as behind ALTER TABLE; tables without a word",
                "exclusive": "writing waits, and reading for update; plain reading goes on",
                "share": "writing waits, as behind CREATE INDEX",
                "for-update": "with --rows: writing, locking and deleting them waits; rows without a word",
                "for-share": "with --rows: writing and deleting them waits",
            }
        }
    )

    def problems(self, wanted: Mapping[str, Any]) -> Iterator[str]:
        """Rows are of one table, and have strengths of their own."""
        if wanted["rows"] and not wanted["table"]:
            yield "--rows: wanted --table with it"
        if (strength := wanted["strength"]) and (strength in _OF_ROWS) != bool(wanted["rows"]):
            of = "those of rows" if wanted["rows"] else "those of tables, or --rows with it"
            yield f"--strength: wanted {of}, found {strength!r}"

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """Tables."""
        del wanted
        return (tables.CLAIM,)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """Find the tables, and rows where they are wanted."""
        found = tables.find(site, wanted["table"], wanted["rows"])
        with connect(site, found["database"]) as db, answering():
            life = holding.life(db)
            if wanted["rows"]:
                [name] = tables.names(db, found["tables"])
                if not db.execute(f"SELECT 1 FROM {name} WHERE ({wanted['rows']}\n) LIMIT 1".encode()).fetchall():
                    raise FaultUnfit(f"rows of {name}", f"none has {wanted['rows']}", "see what --rows says")
        return {"token": secrets.token_hex(8), "life": life, "seconds": site.lasts + holding.GRACE, **found}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Begin the session."""
        with connect(site, seen["database"]) as db:
            names = tables.names(db, seen["tables"])
        if wanted["rows"]:
            strength = (wanted["strength"] or _ROWS).replace("-", " ").upper()
            lock = f"SELECT pg_catalog.count(*) FROM (SELECT FROM {names[0]} WHERE ({wanted['rows']}\n) {strength}) _"
        else:
            strength = (wanted["strength"] or _TABLE).replace("-", " ").upper()
            lock = _LOCK.format(lock=f"LOCK TABLE {', '.join(names)} IN {strength} MODE", attempts=_ATTEMPTS)
        sleep = f"SELECT pg_catalog.pg_sleep({seen['seconds']})"
        holding.begin(site, seen["database"], seen["token"], "BEGIN", lock, sleep)

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Somebody else who asks for each without waiting is refused."""
        with connect(site, seen["database"]) as db:
            session = holding.require(db, seen["token"])
            names = tables.names(db, seen["tables"])
            for name in names:
                if wanted["rows"]:
                    ask = f"SELECT 1 FROM {name} WHERE ({wanted['rows']}\n) LIMIT 1 FOR UPDATE NOWAIT"
                else:
                    reads = (wanted["strength"] or _TABLE) == _TABLE
                    ask = f"LOCK TABLE {name} IN {'ACCESS SHARE' if reads else 'ROW EXCLUSIVE'} MODE NOWAIT"
                _refused(db, name, ask)
            # Behind one that only waits for the lock, and has begun to since it was looked at, who asks is refused too.
            holding.require(db, seen["token"])
        return {"session": session["pid"], "locked": names, "refused": "lock not available (55P03)"}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """End the session."""
        del wanted
        holding.end(site, seen["token"], seen["life"])

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """The session is gone, and its locks with it."""
        del wanted
        return holding.require_gone(site, seen["token"])


def _refused(db: Connection, name: str, ask: str) -> None:
    import psycopg

    with answering():
        try:
            with db.transaction(force_rollback=True):
                db.execute(ask.encode())
        except psycopg.errors.LockNotAvailable:
            return
    raise NotReady(f"{name} is not locked")

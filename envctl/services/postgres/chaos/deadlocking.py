"""`deadlock` on PostgreSQL: a client waits for a session of envctl's, and that one then for the client.

The session never looks for deadlocks, so that it is the client's own process which finds this one, when its
`deadlock_timeout` is over, and gives up. Without the session nobody waits for anything: it fails open.
"""

from __future__ import annotations

import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import Lost, NotReady
from envctl.services.postgres.chaos import holding, tables, tripwires
from envctl.services.postgres.chaos.gates import schema_of
from envctl.services.postgres.chaos.sessions import answering, connect
from envctl.services.postgres.session import Session
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]

_KEPT, _CODE = "deadlock", "40P01"
_TIMEOUT, _ROOM = 5.0, 5000
_WAITED, _CHOSEN = 1, 2

# One at a time: who is the first waits for the session, and the others go on.
_BODY = """
BEGIN
  IF pg_catalog.pg_try_advisory_xact_lock({key}, {chosen}) THEN
    PERFORM pg_catalog.pg_advisory_xact_lock_shared({key}, {waited});
  END IF;
  RETURN NULL;
END
"""

# Whoever was let go before its own look for deadlocks, by its statement's time limit say, is no victim. One that looked
# too early is let go.
_SESSION = """
DO $deadlock$
DECLARE
  last constant timestamptz := clock_timestamp() + {seconds} * interval '1 second';
  armed boolean := false;
  victims integer := 0;
  waiter record;
BEGIN
  PERFORM set_config('lock_timeout', '{patience}ms', false);
  WHILE victims < {victims} AND clock_timestamp() < last LOOP
    COMMIT;
    armed := armed OR pg_try_advisory_lock({key}, {waited});
    SELECT l.relation::regclass AS table, l.relation = '{schema}.probe'::regclass AS ours,
        coalesce(w.waitstart, clock_timestamp()) AS since
      INTO waiter FROM pg_locks w JOIN pg_locks l ON l.pid = w.pid
      WHERE w.locktype = 'advisory' AND w.classid = {key} AND w.objid = {waited} AND NOT w.granted
        AND l.locktype = 'relation' AND l.granted AND l.mode = 'RowExclusiveLock'
        AND (l.relation = ANY('{{{oids}}}') OR l.relation = '{schema}.probe'::regclass)
      LIMIT 1;
    IF waiter IS NULL OR NOT armed THEN
      PERFORM pg_sleep(0.01);
      CONTINUE;
    END IF;
    BEGIN
      EXECUTE format('LOCK TABLE %s IN SHARE MODE', waiter.table);
      IF NOT waiter.ours AND clock_timestamp() - waiter.since >= {timeout} * interval '0.9 milliseconds' THEN
        victims := victims + 1;
        PERFORM nextval('{schema}.count');
      END IF;
    EXCEPTION WHEN lock_not_available THEN
      armed := NOT pg_advisory_unlock({key}, {waited});
    END;
  END LOOP;
END $deadlock$
"""


class Deadlock:
    """`Way`."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def problems(self, wanted: Mapping[str, Any]) -> Iterator[str]:
        """No victim is no deadlock."""
        if wanted["victims"] < 1:
            yield f"--victims: wanted 1 or more, found {wanted['victims']}"

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """Tables."""
        del wanted
        return (tables.CLAIM,)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """Find the tables, and how long a client waits before it looks for a deadlock."""
        found = tables.find(site, wanted["table"])
        with connect(site, found["database"]) as db:
            life = holding.life(db)
        with Session(site.at, app_of(site.at), found["database"], _TIMEOUT) as session:
            [[timeout]] = session.query("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'")
        return {
            "token": secrets.token_hex(8),
            "key": secrets.randbelow(2**31),
            "life": life,
            "timeout": int(timeout or 0),
            "seconds": site.lasts + holding.GRACE,
            **found,
        }

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Put the triggers up, then begin the session."""
        locks = {"key": seen["key"], "waited": _WAITED, "chosen": _CHOSEN}
        tripwires.create(site, seen, _BODY.format(**locks))
        script = _SESSION.format(
            schema=schema_of(seen),
            seconds=seen["seconds"],
            patience=2 * seen["timeout"] + _ROOM,
            timeout=seen["timeout"],
            victims=wanted["victims"],
            oids=",".join(str(table["oid"]) for table in seen["tables"]),
            **locks,
        )
        holding.begin(site, seen["database"], seen["token"], script)

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """The triggers stand, and a session of envctl's own has become a victim, in its own table."""
        del wanted
        with connect(site, seen["database"]) as db:
            found = tripwires.require(db, seen)
            with answering():
                session = holding.require(db, seen["token"])
        if (code := tripwires.attempt(site, seen)) != _CODE:
            raise NotReady(f"a session that should be a victim got {code or 'no error'}")
        return {"tables": found, "session": session["pid"], "tried": f"deadlock detected ({code})"}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """End the session, then remove the triggers; where the server ended meanwhile, start it."""
        del wanted
        site.bring_up()
        lost: Lost | None = None
        try:
            holding.end(site, seen["token"], seen["life"])
        except Lost as reason:
            lost = reason
        site.kept[_KEPT] = max(tripwires.drop(site, seen), site.kept.get(_KEPT, 0))
        if lost is not None:
            raise lost

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Nothing of it is left."""
        del wanted
        gone = {**holding.require_gone(site, seen["token"]), **tripwires.require_gone(site, seen)}
        return {**gone, "victims": site.kept.get(_KEPT, 0)}

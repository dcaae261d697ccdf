"""`serialization-failures` on PostgreSQL: by triggers that refuse a transaction in the server's own words."""

from __future__ import annotations

import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.postgres.chaos import tables, tripwires
from envctl.services.postgres.chaos.gates import schema_of
from envctl.services.postgres.chaos.sessions import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]

_STATEMENT, _COMMIT = "statement", "commit"
_KEPT, _CODE = "serialization-failures", "40001"
_GRACE = 15.0

_STATEMENT_WORDS = "RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001';"
_COMMIT_WORDS = """
RAISE EXCEPTION 'could not serialize access due to read/write dependencies among transactions' USING ERRCODE = '40001',
  DETAIL = 'Reason code: Canceled on identification as a pivot, during commit attempt.',
  HINT = 'The transaction might succeed if retried.';
"""

# A transaction is judged once, by its first write. When nobody heals it, it ends by itself.
_BODY = """
BEGIN
  IF TG_TABLE_SCHEMA <> '{schema}' THEN
    IF pg_catalog.current_setting('{schema}.judged', true) = 'yes' OR pg_catalog.clock_timestamp() > '{last}' THEN
      RETURN NULL;
    END IF;
    PERFORM pg_catalog.set_config('{schema}.judged', 'yes', true);
    IF (pg_catalog.nextval('{schema}.count') - 1) % {every} <> 0 THEN
      RETURN NULL;
    END IF;
  END IF;
  {words}
END
"""


class SerializationFailures:
    """`Way`."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType(
        {
            "at": {
                _STATEMENT: "at the first statement that writes, as after another's update (REPEATABLE READ)",
                _COMMIT: "at the commit, as by dependencies of reads and writes (SERIALIZABLE)",
            }
        }
    )

    def problems(self, wanted: Mapping[str, Any]) -> Iterator[str]:
        """Every 0th is none."""
        if wanted["every"] < 1:
            yield f"--every: wanted 1 or more, found {wanted['every']}"

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """Tables."""
        del wanted
        return (tables.CLAIM,)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """Find the tables, and when it ends by itself: by the server's clock."""
        found = tables.find(site, wanted["table"])
        with connect(site, found["database"]) as db:
            query = "SELECT (pg_catalog.clock_timestamp() + %s * interval '1 second')::text"
            [[last]] = db.execute(query, [site.lasts + _GRACE]).fetchall()
        return {"token": secrets.token_hex(8), "last": last, **found}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Put the triggers up."""
        at_commit = wanted["at"] == _COMMIT
        words = _COMMIT_WORDS if at_commit else _STATEMENT_WORDS
        body = _BODY.format(schema=schema_of(seen), last=seen["last"], every=wanted["every"], words=words)
        tripwires.create(site, seen, body, at_commit=at_commit)

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """All of them stand, and one of them refuses a write of envctl's own to its own table."""
        del wanted
        with connect(site, seen["database"]) as db:
            found = tripwires.require(db, seen)
        if (code := tripwires.attempt(site, seen)) != _CODE:
            raise NotReady(f"a write was refused with {code or 'nothing'}")
        return {"tables": found, "refused": f"could not serialize access ({code})"}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Remove the triggers; where the server ended meanwhile, start it."""
        del wanted
        site.bring_up()
        site.kept[_KEPT] = max(tripwires.drop(site, seen), site.kept.get(_KEPT, 0))

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Nothing of them is left."""
        count = site.kept.get(_KEPT, 0)
        counted = {"transactions": count, "refused": -(-count // wanted["every"])}
        return {**tripwires.require_gone(site, seen), **counted}

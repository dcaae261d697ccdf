"""Taking a PostgreSQL role's rights away, live sessions included, and giving them back exactly."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit
from envctl.protocols import Lost, NotReady
from envctl.services.refusals import require_revocable
from envctl.services.wire import CLOSED, admin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from envctl.services.postgres.session import Session
    from envctl.site import Site

JSON = dict[str, Any]

_TIMEOUT = 5.0
_LIVE = 60.0
"""Seconds for which a session that is kept may live: from planning to the proof."""

_TOUCHED = MappingProxyType({"login": "rolcanlogin", "expiry": "rolvaliduntil", "password": "rolpassword"})
"""The one column of pg_authid that a mode changes."""

_REFUSALS = ("28000", "28P01", "57P01", "42501")
"""SQLSTATE: not permitted to log in, wrong or expired password, ended by an administrator, no privilege."""

# Everything that the server knows of a role, beside what it owns: what is shared by all databases.
_RECORD = """
SELECT jsonb_build_object(
  'role', (SELECT to_jsonb(a) FROM pg_authid a WHERE oid = {oid}),
  'settings', (SELECT coalesce(jsonb_agg(jsonb_build_array(setdatabase, setconfig) ORDER BY setdatabase), '[]')
    FROM pg_db_role_setting WHERE setrole = {oid}),
  'memberships', (SELECT coalesce(jsonb_agg(to_jsonb(m) - 'oid' ORDER BY roleid, member, grantor), '[]')
    FROM pg_auth_members m WHERE {oid} IN (roleid, member)),
  'databases', (SELECT coalesce(jsonb_agg(jsonb_build_array(datname, datacl) ORDER BY datname), '[]')
    FROM pg_database, aclexplode(datacl) WHERE grantee = {oid}),
  'granted', (SELECT count(*) FROM pg_shdepend
    WHERE refclassid = 'pg_authid'::regclass AND refobjid = {oid} AND deptype = 'a'))
"""


class PostgresCredentials:
    """What `revoke-credentials` needs of PostgreSQL."""

    revocations: Mapping[str, str] = MappingProxyType(
        {
            "login": "the role may not log in (NOLOGIN), and its sessions are ended",
            "privilege": "one privilege on one thing is taken: `permission denied` at the next statement",
            "expiry": "its password has run out (VALID UNTIL), and its sessions are ended",
            "password": "it has another password, and its sessions are ended",
        }
    )
    privilege_mode = "privilege"

    def privilege_problems(self, privilege: str, on: str) -> list[str]:
        """A privilege and a thing are needed, and must go together."""
        from envctl.services.postgres.chaos.privileges import problems

        return problems(privilege, on)

    def privilege(self, site: Site, user: str, privilege: str, on: str) -> JSON:
        """The thing's access list, and a statement that shows the loss. A live session of `app` has tried it."""
        from envctl.services.postgres.chaos import privileges

        try:
            with _admin(site) as session:
                found = privileges.look(session, user, _oid(session, user), privilege, on)
                statement = privileges.attempt(session, found)
        except BaseException:
            _close(site)
            raise
        if statement and "live" in site.kept:
            try:
                site.kept["live"].query(statement)
            except NotReady:
                # A view that takes no rows, say: then only the server's own judgement counts.
                statement = ""
                site.kept["live"] = _log_in(site, _LIVE)
        return {"thing": found, "attempt": statement}

    def identity(self, site: Site, user: str, mode: str) -> JSON:
        """The role's row, settings, memberships. A live session of `app` is opened, to see it end."""
        with _admin(site) as session:
            names = [str(row[0]) for row in session.query("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'")]
            require_revocable("role", user, names, admin_of(site.at).username)
            record = _record(session, _oid(session, user))
            role = record["role"]
            if mode != self.privilege_mode and not role["rolcanlogin"]:
                raise FaultUnfit(f"role {user}, which can log in", "it is NOLOGIN", "name another one with --user")
            if mode in ("expiry", "password") and role["rolpassword"] is None:
                raise FaultUnfit(f"a password of role {user}", "it has none", "use --mode login")
            if site.at.app and user == site.at.app.username:
                site.kept["live"] = _log_in(site, _LIVE)
        return record

    def revoke(self, site: Site, user: str, mode: str, record: JSON) -> None:
        """New logins are stopped first: whoever is cut off comes back at once."""
        from envctl.services.postgres.chaos import privileges
        from envctl.services.postgres.scram import verifier

        with _admin(site) as session:
            oid = _same(session, user, record)
            if mode == "privilege":
                privileges.take(session, record["thing"])
                return
            change = {
                "login": "NOLOGIN",
                "expiry": "VALID UNTIL '1970-01-01'",
                "password": f"PASSWORD '{verifier(secrets.token_urlsafe(32))}'",
            }
            session.query(f"ALTER ROLE {privileges.identifier(user)} {change[mode]}")
            _end_sessions(session, oid)

    def check_revoked(self, site: Site, user: str, mode: str, record: JSON) -> JSON:
        """The server's own record says so, no session is left, and `app` is refused."""
        with _admin(site) as session:
            oid = _same(session, user, record)
            without = _without_privilege if mode == self.privilege_mode else _without_login
            evidence = without(site, session, user, oid, record, mode)
        _close(site)
        return evidence

    def restore(self, site: Site, user: str, mode: str, record: JSON) -> None:
        """Write back the one thing that was changed, where it is not what it was."""
        from envctl.services.postgres.chaos import privileges

        _close(site)
        with _admin(site) as session:
            oid = _same(session, user, record)
            if mode == "privilege":
                privileges.give_back(session, user, oid, record["thing"])
                return
            column = _TOUCHED[mode]
            was = record["role"][column]
            if _record(session, oid)["role"][column] != was:
                value = "NULL" if was is None else privileges.literal(str(was))
                # Not ALTER ROLE: it cannot say "no end" (NULL), and it has an opinion on passwords.
                session.query(f"UPDATE pg_authid SET {column} = {value} WHERE oid = {oid}")

    def check_restored(self, site: Site, user: str, mode: str, record: JSON) -> JSON:
        """`app` logs in with its own password, and the record is what it was."""
        from envctl.services.postgres.chaos import privileges

        with _admin(site) as session:
            oid = _same(session, user, record)
            now = _record(session, oid)
            changed = _differences(record, now, mode)
            if mode == "privilege":
                if not privileges.has(session, oid, record["thing"]):
                    raise NotReady(f"{user} has no {record['thing']['privilege']} on {record['thing']['name']}")
                changed += privileges.changed(session, record["thing"])
        evidence: JSON = {"record": "equal"} if not changed else {"changed_meanwhile": changed}
        if site.at.app and user == site.at.app.username:
            with _log_in(site) as session:
                session.query(record.get("attempt") or "SELECT 1")
            evidence["login"] = "with the original password"
        _close(site)
        return evidence


@contextmanager
def _admin(site: Site) -> Iterator[Session]:
    """A session of envctl's own, in the tests' database: access lists are a database's own.

    Kept from one step to the next, for a login takes 5 ms; `_close` ends it.
    """
    from envctl.services.postgres.service import DATABASE
    from envctl.services.postgres.session import Session

    session = site.kept.pop("admin", None) or Session(site.at, admin_of(site.at), DATABASE, _LIVE)
    try:
        yield session
    except BaseException as error:
        # Where it was refused, what it says next is no answer to what it is asked next.
        session.__exit__(error)
        raise
    site.kept["admin"] = session


def _log_in(site: Site, timeout: float = _TIMEOUT) -> Session:
    from envctl.services.postgres.service import DATABASE
    from envctl.services.postgres.session import Session
    from envctl.services.wire import app_of

    return Session(site.at, app_of(site.at), DATABASE, timeout)


def _close(site: Site) -> None:
    """End the sessions that are kept."""
    for name in ("live", "admin"):
        if (session := site.kept.pop(name, None)) is not None:
            with suppress(NotReady):
                session.__exit__(None)


def _oid(session: Session, user: str) -> str:
    """The role's object id."""
    from envctl.services.postgres.chaos.privileges import literal

    rows = session.query(f"SELECT oid FROM pg_roles WHERE rolname = {literal(user)}")
    if not rows:
        raise Lost(f"role {user} is gone: somebody dropped it while its rights were revoked; `up` makes app anew")
    return str(rows[0][0])


def _same(session: Session, user: str, record: JSON) -> str:
    """The object id of the very role that was recorded.

    Raises:
        Lost: it was dropped, or another one was made in its place.

    """
    oid = _oid(session, user)
    if oid != str(record["role"]["oid"]):
        raise Lost(f"role {user} was dropped and made anew while its rights were revoked; the new one is left as it is")
    return oid


def _record(session: Session, oid: str) -> JSON:
    found: JSON = json.loads(str(session.query(_RECORD.format(oid=oid))[0][0]))
    return found


def _end_sessions(session: Session, oid: str) -> int:
    """End all sessions of a role, and wait for their end; how many there were."""
    ours = f"FROM pg_stat_activity WHERE usesysid = {oid} AND pid <> pg_backend_pid()"
    # Signalled all at once, then waited for one by one (ms).
    found = session.query(f"SELECT pid, pg_terminate_backend(pid) {ours}")
    if found:
        session.query(f"SELECT pg_terminate_backend(pid, 2000) {ours}")
    return len(found)


def _differences(record: JSON, now: JSON, mode: str) -> list[str]:
    """What is other than it was though the fault did not touch it.

    Raises:
        NotReady: what the fault touched is other than it was.

    """
    column = _TOUCHED.get(mode)
    if column and now["role"][column] != record["role"][column]:
        raise NotReady(f"{column} is not what it was")
    found = [key for key, value in record["role"].items() if now["role"].get(key) != value]
    return found + [key for key in now if key != "role" and now[key] != record[key]]


def _without_login(site: Site, session: Session, user: str, oid: str, record: JSON, mode: str) -> JSON:
    # A login that was let in just before its role was changed shows only now.
    if left := _end_sessions(session, oid):
        raise NotReady(f"{left} sessions of {user} had slipped in")
    column = _TOUCHED[mode]
    if _record(session, oid)["role"][column] == record["role"][column]:
        raise NotReady(f"{column} of {user} is what it was")
    evidence: JSON = {"changed": column, "sessions": 0}
    if (live := site.kept.get("live")) is not None:
        evidence["live"] = _refused(lambda: live.query("SELECT 1"), "a live session")
        evidence["new"] = _refused(lambda: _log_in(site).__exit__(None), "a new login")
    return evidence


def _without_privilege(site: Site, session: Session, user: str, oid: str, record: JSON, mode: str) -> JSON:
    from envctl.services.postgres.chaos import privileges

    del mode
    thing = record["thing"]
    what = f"{thing['privilege'].upper()} on {thing['name']}"
    if privileges.has(session, oid, thing):
        raise NotReady(f"{user} still has {what}, by another role that it belongs to or by columns")
    evidence: JSON = {"without": what}
    live = site.kept.get("live")
    if live is not None and record["attempt"]:
        evidence["live"] = _refused(lambda: live.query(record["attempt"]), "a live session")
        with _log_in(site) as new:
            evidence["new"] = _refused(lambda: new.query(record["attempt"]), "a new session")
    return evidence


def _refused(act: Callable[[], object], what: str) -> str:
    """The server's own words of refusal.

    Raises:
        NotReady: it did not refuse.

    """
    try:
        act()
    except NotReady as refusal:
        if (said := str(refusal)) == CLOSED or any(f"({state})" in said for state in _REFUSALS):
            return said
        raise
    raise NotReady(f"{what} was not refused")

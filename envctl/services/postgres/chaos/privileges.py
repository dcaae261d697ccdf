"""One privilege of a role on one thing: taken out of the thing's access list, and put back to the very text.

REVOKE and GRANT would write another text: a list that was empty (NULL: the defaults) stays spelt out for ever, items
change their order, and what the role granted on is lost. So the list itself is written, before and after.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit, UnknownName
from envctl.protocols import Lost, NotReady

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.services.postgres.session import Session

JSON = dict[str, Any]

_LETTERS = MappingProxyType(
    {
        "select": "r",
        "insert": "a",
        "update": "w",
        "delete": "d",
        "truncate": "D",
        "references": "x",
        "trigger": "t",
        "maintain": "m",
        "usage": "U",
        "create": "C",
        "temporary": "T",
    }
)
"""Privileges by their letter in an access list (PostgreSQL 17, table 5.1). CONNECT is what the mode `login` takes."""

_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "table": ("select", "insert", "update", "delete", "truncate", "references", "trigger", "maintain"),
        "sequence": ("select", "update", "usage"),
        "schema": ("create", "usage"),
        "database": ("create", "temporary"),
    }
)

_WANTED_ON = "a table, view or sequence, `schema NAME` or `database NAME`"

_RELATIONS = """
SELECT c.oid, relname AS short, nspname || '.' || relname AS name, format('%I.%I', nspname, relname) AS ident,
  relacl AS acl, relowner AS owner, CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char" AS type,
  CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
_SIMPLE = """
SELECT oid, {0}name AS short, {0}name::text AS name, quote_ident({0}name) AS ident,
  {0}acl AS acl, {1} AS owner, '{2}'::"char" AS type, '{3}' AS kind
FROM pg_{4}
"""
_THINGS = MappingProxyType(
    {
        "relation": _RELATIONS,
        "schema": _SIMPLE.format("nsp", "nspowner", "n", "schema", "namespace"),
        "database": _SIMPLE.format("dat", "datdba", "d", "database", "database"),
    }
)
_LISTS = MappingProxyType({"schema": ("pg_namespace", "nspacl"), "database": ("pg_database", "datacl")})

# The privilege's letter, with the star of its grant option, out of every item of the role; an item that is left with
# no privilege goes. `{}` is the empty list, where NULL would be the defaults.
_TAKEN = """
SELECT acl::text, (SELECT coalesce(array_agg(kept ORDER BY n), '{{}}')::text
  FROM unnest(coalesce(acl, acldefault(type, owner))) WITH ORDINALITY AS items(item, n),
    LATERAL (SELECT CASE WHEN EXISTS (SELECT FROM aclexplode(ARRAY[item]) WHERE grantee = {role})
      THEN regexp_replace(item::text, '^((?:"(?:[^"]|"")*"|[^="]*)=[A-Za-z*]*){letter}\\*?', '\\1')::aclitem
      ELSE item END) AS rests(kept)
  WHERE EXISTS (SELECT FROM aclexplode(ARRAY[kept])))
FROM ({things}) AS things WHERE oid = {oid}
"""
_OTHER_WAYS = """
SELECT DISTINCT CASE grantee WHEN 0 THEN 'a grant to PUBLIC' ELSE 'the role ' || grantee::regrole::text END
FROM ({things}) AS things, aclexplode(coalesce(acl, acldefault(type, owner)))
WHERE oid = {oid} AND privilege_type = '{privilege}' AND grantee <> {role}
  AND (grantee = 0 OR pg_has_role({role}, grantee, 'USAGE'))
UNION SELECT 'being a superuser' FROM pg_roles WHERE oid = {role} AND rolsuper
"""


def problems(privilege: str, on: str) -> list[str]:
    """What is impossible or missing, as far as it can be told without the server."""
    kind, name = _parted(on)
    known = _OF.get(kind, tuple(_LETTERS))
    found = []
    if privilege.lower() not in known:
        found.append(f"--privilege: wanted one of {', '.join(known)}, found {privilege or 'none'}")
    if not name:
        found.append(f"--on: wanted {_WANTED_ON}, found {on or 'none'}")
    return found


def look(session: Session, role: str, role_oid: str, privilege: str, on: str) -> JSON:
    """The thing's access list, and what it is without the privilege.

    Raises:
        FaultUnfit: there is no such thing, or the role has not the privilege by that list alone.

    """
    privilege, things = privilege.lower(), _THINGS[_parted(on)[0]]
    oid, name, ident, kind = _found(session, things, on)
    words = {"things": things, "oid": oid, "role": role_oid, "privilege": privilege.upper()}
    record: JSON = {"oid": oid, "name": name, "ident": ident, "kind": kind, "privilege": privilege}
    wanted = f"{role} with {privilege.upper()} on {kind} {name}, to be taken away"
    if privilege not in _OF[kind]:
        raise FaultUnfit(wanted, f"a {kind} has {', '.join(_OF[kind])}", "name one of these")
    if not has(session, role_oid, record):
        raise FaultUnfit(wanted, "it has none", f"`GRANT {privilege.upper()} ON … TO {role}` first, or name another")
    if ways := [str(row[0]) for row in session.query(_OTHER_WAYS.format(**words))]:
        advice = "name that role with --user, or take the whole login with --mode login"
        raise FaultUnfit(wanted, f"it has it by {' and '.join(sorted(ways))}, too", advice)
    record["acl"], record["taken"] = session.query(_TAKEN.format(letter=_LETTERS[privilege], **words))[0]
    return record


def take(session: Session, record: JSON) -> None:
    """Take the privilege out of the list.

    Raises:
        NotReady: somebody else changed the list since it was looked at.

    """
    if not _replace(session, record, record["acl"], record["taken"]):
        raise NotReady(f"the access list of {record['name']} was changed in this moment")


def give_back(session: Session, role: str, role_oid: str, record: JSON) -> None:
    """Write the list as it was; where somebody changed it meanwhile, add the privilege and leave the rest.

    Raises:
        Lost: the thing is gone.

    """
    if _list(session, record) == record["acl"] or _replace(session, record, record["taken"], record["acl"]):
        return
    if not has(session, role_oid, record):
        thing = f"{record['kind']} {record['ident']}"
        session.query(f"GRANT {record['privilege']} ON {thing} TO {identifier(role)}")


def has(session: Session, role_oid: str, record: JSON) -> bool:
    """Whether the server says that the role has the privilege, in whatever way."""
    call = f"has_{record['kind']}_privilege({role_oid}::oid, {record['oid']}::oid, '{record['privilege']}')"
    return session.query(f"SELECT {call}") == [["t"]]


def changed(session: Session, record: JSON) -> list[str]:
    """How the list differs from what it was."""
    found = _list(session, record)
    return [] if found == record["acl"] else [f"access list of {record['name']}: {record['acl']} before, {found} now"]


def attempt(session: Session, record: JSON) -> str:
    """A statement that needs just this privilege and does nothing: its rights are checked, it is planned, not run.

    Empty where there is none.
    """
    if record["kind"] != "table":
        return ""
    columns = session.query(
        f"SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = {record['oid']} AND attnum > 0 LIMIT 1"
    )
    statements = {
        "select": f"EXPLAIN SELECT FROM {record['ident']}",
        "insert": f"EXPLAIN INSERT INTO {record['ident']} DEFAULT VALUES",
        "update": f"EXPLAIN UPDATE {record['ident']} SET {columns[0][0]} = DEFAULT" if columns else "",
        "delete": f"EXPLAIN DELETE FROM {record['ident']}",
    }
    return statements.get(record["privilege"], "")


def literal(text: str) -> str:
    """A text as SQL takes it, whatever is in it."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _parted(on: str) -> tuple[str, str]:
    """The kind of a thing (`relation`, `schema`, `database`) and its name."""
    word, _, rest = on.strip().partition(" ")
    return (word.lower(), rest.strip()) if word.lower() in _LISTS else ("relation", on.strip())


def _found(session: Session, things: str, on: str) -> list[str]:
    """Object id, name, quoted name and kind of the thing that is meant."""
    name = _parted(on)[1]
    rows = session.query(f"SELECT oid, name, ident, kind, short FROM ({things}) AS things")
    known = [[str(value) for value in row] for row in rows]
    found = [row[:4] for row in known if name in (row[1], row[4])]
    if len(found) > 1:
        names = ", ".join(sorted(row[1] for row in found))
        raise FaultUnfit(f"the one thing named {name!r}", f"several: {names}", "name its schema, too")
    if not found:
        # Both forms, so that the nearest is offered as it was typed.
        unknown = UnknownName(_parted(on)[0], name, {row[1] if "." in name else row[4] for row in known})
        raise FaultUnfit(unknown.wanted, unknown.found[:400], unknown.advice[:400])
    return found[0]


def _list(session: Session, record: JSON) -> str | None:
    """The thing's access list as text; None where it has none, so the defaults."""
    catalog, column = _LISTS.get(record["kind"], ("pg_class", "relacl"))
    rows = session.query(f"SELECT {column}::text FROM {catalog} WHERE oid = {record['oid']}")
    if not rows:
        raise Lost(f"{record['kind']} {record['name']} is gone")
    return rows[0][0]


def _replace(session: Session, record: JSON, old: str | None, new: str | None) -> bool:
    """Write the list where it is still `old`; whether it was."""
    catalog, column = _LISTS.get(record["kind"], ("pg_class", "relacl"))
    before, after = ("NULL" if text is None else f"{literal(text)}" for text in (old, new))
    return bool(
        session.query(
            f"UPDATE {catalog} SET {column} = {after}::aclitem[] "
            f"WHERE oid = {record['oid']} AND {column}::text IS NOT DISTINCT FROM {before} RETURNING oid"
        )
    )

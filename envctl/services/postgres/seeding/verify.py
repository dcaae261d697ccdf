"""What is in the tables now: rows, hashes and sums computed by the database, and the first difference in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.errors import SeedFailed
from envctl.services.postgres.seeding import encoding, sums
from envctl.services.postgres.seeding.catalog import quoted
from envctl.services.postgres.seeding.connection import failing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.seeding.world import World
    from envctl.services.postgres.seeding.catalog import Target
    from envctl.services.postgres.seeding.connection import Connection
    from envctl.services.postgres.seeding.plan import Source

    JSON = dict[str, Any]


def measured(connection: Connection, target: Target, columns: Sequence[str]) -> JSON:
    """Rows, the sum of all rows' hashes (in no order), and sums of `columns` where both sides can tell them."""
    summed = [name for name in columns if name in target.columns and sums.summed(target.columns[name])]
    wanted = [
        "count(*)",
        f"coalesce(sum(hash_record_extended({_record(target)}, 0)), 0)::text",
        *(sums.in_database(target.columns[name]) for name in summed),
    ]
    with failing(f"table {target.name} read back"):
        row = connection.execute(f"SELECT {', '.join(wanted)} FROM {target.sql}".encode()).fetchone()
    assert row is not None  # noqa: S101 - an aggregate gives one row
    return {"rows": row[0], "hash": row[1], "sums": dict(zip(summed, row[2:], strict=True))}


def cross_check(sent: Mapping[str, JSON], found: Mapping[str, JSON]) -> None:
    """Compare what the generator counted while sending with what the database counts.

    Raises:
        SeedFailed: they differ.

    """
    for target, known in sent.items():
        there = found.get(target, {"rows": 0, "sums": {}})
        said = [("rows", known["rows"], there["rows"])]
        said += [(f"sum of {name}", total, there["sums"].get(name, total)) for name, total in known["sums"].items()]
        for what, wanted, got in said:
            if wanted != got:
                raise SeedFailed(
                    f"all of table {target} in PostgreSQL",
                    f"{what}: {wanted} were sent, {got} are there",
                    "nobody else may write while a dataset is loaded, and triggers may not change its rows;"
                    " `envctl seed --force` loads it anew",
                )


def _record(target: Target) -> str:
    """All columns as one record; what has no hash of its own is hashed as text."""
    names = (quoted(c.name) + ("" if c.hashable else "::text") for c in target.columns.values())
    return f"ROW({', '.join(names)})"


def difference(connection: Connection, world: World, source: Source) -> str:
    """The first row of a generated table that is not as it is generated; empty where each is."""
    names = list(source.expressions)
    key = primary_key(connection, source.target)
    columns = ", ".join(map(quoted, names))
    with failing(f"table {source.name} compared"), connection.transaction(force_rollback=True):
        like = f"SELECT {columns} FROM {source.target.sql}"
        connection.execute(f"CREATE TEMP TABLE wanted ON COMMIT DROP AS {like} WITH NO DATA".encode())
        usable = key and set(key) <= set(names)
        if not usable:
            return _by_rows(connection, world, source, columns)
        keys = ", ".join(map(quoted, key))
        connection.execute(f"CREATE TEMP TABLE keys ON COMMIT DROP AS SELECT {keys} FROM wanted".encode())
        for index in range(source.chunks):
            _fill(connection, world, source, index)
            found = _differing(connection, source, key)
            if found:
                return found
            connection.execute(f"INSERT INTO keys SELECT {keys} FROM wanted; TRUNCATE wanted".encode())
        return _extra(connection, source, key)


def primary_key(connection: Connection, target: Target) -> list[str]:
    """The columns of the primary key, in its order."""
    query = (
        "SELECT a.attname FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place)"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number"
        " WHERE i.indrelid = %s AND i.indisprimary ORDER BY k.place"
    )
    return [name for (name,) in connection.execute(query, [target.oid])]


def _fill(connection: Connection, world: World, source: Source, index: int) -> None:
    """One chunk as it is generated, into the temporary table."""
    data = source.layout.encode(source.columns(world.chunk(source.table.relation, index)))
    with connection.cursor() as cursor, cursor.copy(source.copy("wanted")) as copy:
        binary = source.layout.binary
        copy.write(encoding.HEADER if binary else b"")
        copy.write(data)
        copy.write(encoding.TRAILER if binary else b"")


def _differing(connection: Connection, source: Source, key: Sequence[str]) -> str:
    """The first row of the chunk, by key, that is missing or other."""
    names = list(source.expressions)
    joined = " AND ".join(f"w.{quoted(k)} = t.{quoted(k)}" for k in key)
    # Each column as text: that is how it is told, and what both sides show alike is alike.
    wanted, there = (", ".join(f"{side}.{quoted(n)}::text" for n in names) for side in "wt")
    row = connection.execute(
        f"SELECT t.{quoted(key[0])} IS NULL, ARRAY[{wanted}], ARRAY[{there}]"
        f" FROM wanted w LEFT JOIN {source.target.sql} t ON {joined}"
        f" WHERE ARRAY[{wanted}] IS DISTINCT FROM ARRAY[{there}]"
        f" ORDER BY {', '.join(f'w.{quoted(k)}' for k in key)} LIMIT 1".encode()
    ).fetchone()
    if row is None:
        return ""
    missing, want, have = row
    where = f"table {source.name}: row {_named(key, names, want)}"
    if missing:
        return f"{where} is missing"
    column = next(n for n, a, b in zip(names, want, have, strict=True) if a != b)
    index = names.index(column)
    return f"{where}: column {column!r} is {_shown(have[index])}, expected {_shown(want[index])}"


def _extra(connection: Connection, source: Source, key: Sequence[str]) -> str:
    """The first row, by key, that was never generated."""
    joined = " AND ".join(f"k.{quoted(name)} = t.{quoted(name)}" for name in key)
    order = ", ".join(f"t.{quoted(name)}" for name in key)
    shown = ", ".join(f"t.{quoted(name)}::text" for name in key)
    connection.execute("ANALYZE keys")
    row = connection.execute(
        f"SELECT {shown} FROM {source.target.sql} t WHERE NOT EXISTS (SELECT FROM keys k WHERE {joined})"
        f" ORDER BY {order} LIMIT 1".encode()
    ).fetchone()
    return f"table {source.name}: row {_named(key, key, row)} is not of this dataset" if row else ""


def _by_rows(connection: Connection, world: World, source: Source, columns: str) -> str:
    """A table without a usable key: the first whole row that one side has more often than the other."""
    for index in range(source.chunks):
        _fill(connection, world, source, index)
    there, wanted = f"SELECT {columns} FROM {source.target.sql}", f"SELECT {columns} FROM wanted"
    for left, right, said in ((wanted, there, "is missing"), (there, wanted, "is not of this dataset")):
        # As text, because not every type can be compared.
        query = f"SELECT r::text FROM ({left}) r EXCEPT ALL SELECT r::text FROM ({right}) r ORDER BY 1 LIMIT 1"
        row = connection.execute(query.encode()).fetchone()
        if row:
            return f"table {source.name}: row {row[0]} {said}"
    return ""


def _named(key: Sequence[str], names: Sequence[str], values: Sequence[str | None]) -> str:
    known = dict(zip(names, values, strict=True))
    return ", ".join(f"{name}={known[name]}" for name in key)


def _shown(value: str | None) -> str:
    return "null" if value is None else repr(value)

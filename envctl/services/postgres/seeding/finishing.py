"""After the rows: keys and indexes back, statistics, sequences, the check, and the dataset's last SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.errors import SeedFailed
from envctl.services.postgres.seeding import catalog, constraints, ledger, scripts, verify
from envctl.services.postgres.seeding.connection import described, failing, naming_holders

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from envctl.seeding.loading import Job
    from envctl.services.postgres.seeding.connection import Connection
    from envctl.services.postgres.seeding.constraints import Waiting
    from envctl.services.postgres.seeding.ledger import Ledger
    from envctl.services.postgres.seeding.plan import Source
    from envctl.services.postgres.seeding.team import Task, Team

    JSON = dict[str, Any]

_SMALL_ROWS = 50_000
"""Up to this many rows in all, one transaction puts everything back: faster than one for each table."""

_SEQUENCES = """
SELECT d.objid::regclass::text, a.attname FROM pg_depend d
JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refobjid = %s AND d.deptype IN ('a', 'i') AND a.attname = ANY(%s)
"""


def finish(connection: Connection, team: Team, job: Job, sources: Sequence[Source], known: Ledger) -> JSON | None:
    """All that comes after the rows; returns what the check measured, if nothing was changed since.

    Raises:
        SeedFailed: a row violates a constraint, or the rows are not those that were sent.

    """
    rows = sum(sum(chunks.values()) for chunks in ledger.chunks(connection).values())
    put_back(connection, team, small=rows <= _SMALL_ROWS)
    found: JSON = {}
    if ledger.CHECKED not in known.steps:
        team.run([_checking(source, found) for source in sources])
        verify.cross_check(ledger.totals(connection), found)
        with failing("the check noted"):
            ledger.note_step(connection, ledger.CHECKED)
    after = job.dataset.postgres.after
    for number, path in enumerate(after):
        job.go_on()
        if f"after {number}" not in known.steps:
            team.run([_after(path, f"after {number}")])
    with failing("the end of the load noted"), connection.transaction():
        # With the last commit all before it are on the disk.
        connection.execute("SET LOCAL synchronous_commit = on")
        ledger.note_step(connection, ledger.COMPLETE)
    return {source.name: found[source.name] for source in sources} if found and not after else None


def put_back(connection: Connection, team: Team, *, small: bool) -> None:
    """Keys, indexes and foreign keys, each marked in its own transaction."""
    for phase in range(constraints.PHASES):
        waiting = constraints.waiting(connection)[phase]
        parallel = constraints.parallel(phase) and not small
        team.run([_putting(group) for group in constraints.grouped(waiting, by_table=parallel)])


def _putting(group: Sequence[Waiting]) -> Task:
    def task(connection: Connection) -> None:
        import psycopg

        with naming_holders(connection, f"keys and indexes of {group[0].target} back in place"):
            try:
                constraints.put_back(connection, group)
            except psycopg.IntegrityError as error:
                raise SeedFailed(
                    f"rows that satisfy the constraints of {error.diag.table_name or group[0].target}",
                    described(error),
                    "mend those rows, or the constraint, then seed again",
                ) from error

    return task


def _checking(source: Source, found: JSON) -> Task:
    """Statistics, sequences and the measures of one table."""
    columns = list(source.expressions) if not source.file else []
    loaded = list(source.file.columns) if source.file else columns

    def task(connection: Connection) -> None:
        with failing(f"statistics of table {source.name}"):
            connection.execute(f"ANALYZE {source.target.sql}".encode())
            for sequence, column in connection.execute(_SEQUENCES, [source.target.oid, loaded]).fetchall():
                connection.execute(
                    f"SELECT setval(%s::regclass, max({catalog.quoted(column)})) FROM {source.target.sql}".encode(),
                    [sequence],
                )
        found[source.name] = verify.measured(connection, source.target, columns)

    return task


def _after(path: Path, step: str) -> Task:
    """One of the dataset's last files, in a transaction with the mark that it ran."""

    def task(connection: Connection) -> None:
        with naming_holders(connection, f"SQL from {path}"), connection.transaction():
            before = catalog.objects(connection)
            scripts.run(connection, path)
            created = catalog.objects(connection) - before
            ledger.note_created(connection, catalog.independent(connection, created))
            ledger.note_step(connection, step)

    return task

"""The loader of PostgreSQL's share: prepares, fills, puts keys back, checks; each step once, whatever is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.services.postgres.seeding import catalog, constraints, estimate, ledger, plan, scripts, verify
from envctl.services.postgres.seeding.clearing import remove
from envctl.services.postgres.seeding.connection import connect, end_leftovers, failing, naming_holders
from envctl.services.postgres.seeding.filling import Agenda, Filler
from envctl.services.postgres.seeding.finishing import finish
from envctl.services.postgres.seeding.ranks import ranks
from envctl.services.postgres.seeding.team import Team

if TYPE_CHECKING:
    from envctl.model import Endpoint
    from envctl.seeding.loading import Job, Size
    from envctl.services.postgres.seeding.connection import Connection
    from envctl.services.postgres.seeding.ledger import Ledger
    from envctl.services.postgres.seeding.plan import Source

    JSON = dict[str, Any]


class PostgresLoader:
    """Loads the tables and runs the SQL of one dataset; see `envctl.seeding.loading.Loader`."""

    def __init__(self, at: Endpoint, job: Job) -> None:
        self._at, self._job = at, job
        self._dataset, self._share = job.dataset, job.dataset.postgres
        self._sources: list[Source] = []
        self._fresh: JSON | None = None

    def size(self) -> Size:
        """Rows of all tables, and their bytes in COPY's format, from a sample of each relation."""
        return estimate.size(self._job.world)

    def footprint(self) -> JSON:
        """The names of the tables; what there is to remove stands in the database itself."""
        return {"tables": sorted(self._share.tables)}

    def conflicts(self) -> list[str]:
        """Tables that are to be filled, hold rows already, and were not filled by a dataset."""
        with connect(self._at) as connection, failing("a look at the tables"):
            known = ledger.read(connection)
            ours = {oid for oid, _ in known.tables.values()} if known else set()
            there = catalog.tables(connection)
            targets = [
                (name, there[catalog.split(name)]) for name in self._share.tables if catalog.split(name) in there
            ]
            return [
                f"table {name} holds rows that are of no dataset"
                for name, target in targets
                if target.oid not in ours and _holds_rows(connection, target)
            ]

    def load(self) -> None:
        """Load what is not there yet.

        Raises:
            SeedFailed: the server refused or went away.
            ConfigurationError: the tables and the dataset do not go together; nothing was changed.
            Interrupted: `job.stop` was set.

        """
        self._job.go_on()
        with connect(self._at) as connection, Team(self._at, self._job, connection) as team:
            end_leftovers(connection)
            with failing("the ledger in PostgreSQL"):
                known = ledger.read(connection)
                if known and (known.digest != self._dataset.digest or not self._intact(connection, known)):
                    remove(connection)
                    known = None
            if known is None:
                team.run([self._prepare])
            with failing("the tables in PostgreSQL"):
                known = ledger.read(connection)
                sources = self._sources or plan.sources(self._job.world, catalog.tables(connection))
            if known and not known.complete:
                self._fill(connection, team, sources)
                self._fresh = finish(connection, team, self._job, sources, known)

    def present(self) -> bool:
        """Whether the ledger says that this very dataset is complete, and its tables are there, with rows in them."""
        with connect(self._at) as connection, failing("the ledger in PostgreSQL"):
            known = ledger.read(connection)
            return bool(
                known and known.complete and known.digest == self._dataset.digest and self._intact(connection, known)
            )

    def measure(self) -> JSON:
        """Rows, hash and sums by table. Just after a load: what that found when it checked its own work."""
        if self._fresh is not None:
            kept, self._fresh = self._fresh, None
            return kept
        found: JSON = {}
        with connect(self._at) as connection, Team(self._at, self._job, connection) as team:
            with failing("the tables read back"):
                there = catalog.tables(connection)
            tables = {name: there.get(catalog.split(name)) for name in self._share.tables}
            team.run(
                [_measuring(name, target, self._columns(name), found) for name, target in tables.items() if target]
            )
        return {name: found[name] for name in self._share.tables if name in found}

    def difference(self, recorded: JSON, measured: JSON) -> str:
        """The first table that differs, and of a generated one the first row by its key, with column and values."""
        for name in dict.fromkeys([*recorded, *measured]):
            if recorded.get(name) == measured.get(name):
                continue
            if name not in measured:
                return f"table {name} is gone"
            if name not in recorded:
                return f"table {name} was not recorded, and holds {measured[name]['rows']} rows"
            return self._row(name) or _counted(name, recorded[name], measured[name])
        return ""

    def _columns(self, name: str) -> list[str]:
        table = plan.full(self._share.tables[name], self._dataset)
        return list(table.columns) if table.relation else []

    def _row(self, name: str) -> str:
        if not self._columns(name):
            return ""
        with connect(self._at) as connection, failing(f"table {name} compared"):
            sources = plan.sources(self._job.world, catalog.tables(connection))
            found = verify.difference(connection, self._job.world, next(s for s in sources if s.name == name))
        return f"{found} (as generated, before the `after` files)" if found and self._share.after else found

    def _intact(self, connection: Connection, known: Ledger) -> bool:
        """Whether what the ledger says can be true: the same tables, none empty that was filled."""
        there = {target.oid: target for target in catalog.tables(connection).values()}
        if any(oid not in there for oid, _ in known.tables.values()):
            return False
        filled = [name for name, chunks in ledger.chunks(connection).items() if any(chunks.values())]
        return all(_holds_rows(connection, there[known.tables[name][0]]) for name in filled)

    def _prepare(self, connection: Connection) -> None:
        """All SQL files, the check of all tables, and what waits for the data: one transaction, so all or nothing."""
        with naming_holders(connection, "the SQL files run in PostgreSQL"), connection.transaction():
            before = catalog.objects(connection)
            for path in self._share.sql:
                self._job.go_on()
                scripts.run(connection, path)
            created = catalog.objects(connection) - before
            sources = self._sources = plan.sources(self._job.world, catalog.tables(connection))
            ledger.make(connection, self._dataset.digest, self._dataset.name, self._dataset.scale)
            ledger.note_created(connection, catalog.independent(connection, created))
            made = {oid for _, oid in created}
            ledger.note_tables(connection, {s.name: (s.target.oid, s.target.oid in made) for s in sources})
            large = [
                s.target
                for s in sources
                if s.target.oid in made
                and not s.file
                and self._job.world.rows(s.table.relation) >= constraints.WORTH_ROWS
            ]
            constraints.take_off(connection, made, large)

    def _fill(self, connection: Connection, team: Team, sources: list[Source]) -> None:
        done = ledger.chunks(connection)
        for rows in (rows for chunks in done.values() for rows in chunks.values()):
            self._job.progress(rows, 0)
        for rank in ranks(connection, self._job.world, sources):
            agenda = Agenda(rank, done)
            team.run([Filler(self._job, agenda)] * min(self._job.jobs, agenda.left))


def _measuring(name: str, target: catalog.Target, columns: list[str], found: JSON) -> Any:  # noqa: ANN401 - a task
    def task(connection: Connection) -> None:
        found[name] = verify.measured(connection, target, columns)

    return task


def _holds_rows(connection: Connection, target: catalog.Target) -> bool:
    return connection.execute(f"SELECT EXISTS (SELECT FROM {target.sql})".encode()).fetchone() == (True,)


def _counted(name: str, recorded: JSON, measured: JSON) -> str:
    if recorded["rows"] != measured["rows"]:
        return f"table {name} holds {measured['rows']} rows, expected {recorded['rows']}"
    return f"table {name} holds as many rows as were loaded ({recorded['rows']}), but not the same"

"""Rows into tables: chunks that are not marked yet, a few to a transaction, marked in it."""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envctl.errors import SeedFailed
from envctl.seeding.chunk import WorldError
from envctl.services.postgres.seeding import encoding, ledger, sums
from envctl.services.postgres.seeding.connection import LOCKED, OWNER, described, lost, naming_holders
from envctl.services.postgres.seeding.encoding import EncodingError
from envctl.services.postgres.seeding.ledger import Mark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    from envctl.seeding.loading import Job
    from envctl.seeding.world import World
    from envctl.services.postgres.seeding.connection import Connection
    from envctl.services.postgres.seeding.plan import Source

GROUP_BYTES = 8 << 20
"""Bytes of a transaction from which on no further chunk is added: what a kill may cost."""

_PLACE = re.compile(r"COPY [^\n]*?, line (\d+)(?:, column ([^\n:]+?))?(?:: (\"[^\n]*\"|null input))?$", re.MULTILINE)
_MEND_FILE = "mend that place in the file, then seed again"
_MEND_DATASET = "mend the dataset's expressions or the table, then seed again"


class Agenda:
    """The chunks that are to be loaded, handed out one by one. Thread-safe."""

    def __init__(self, sources: Sequence[Source], done: Mapping[str, Mapping[int, int]]) -> None:
        self._lock = threading.Lock()
        self._left = deque(
            (source, deque(index for index in range(source.chunks) if index not in done.get(source.name, {})))
            for source in sources
        )

    @property
    def left(self) -> int:
        """How many chunks are left."""
        return sum(len(chunks) for _, chunks in self._left)

    def next(self) -> tuple[Source, int] | None:
        """A chunk of the first table that has one left."""
        with self._lock:
            while self._left and not self._left[0][1]:
                self._left.popleft()
            return (self._left[0][0], self._left[0][1].popleft()) if self._left else None

    def next_of(self, source: Source) -> int | None:
        """A further chunk of that table."""
        with self._lock:
            chunks = next((chunks for of, chunks in self._left if of is source), None)
            return chunks.popleft() if chunks else None


@dataclass
class _Sent:
    """What one COPY has sent so far. It holds no values: a group's chunks are more than its bytes."""

    world: World
    source: Source
    bytes: int = 0
    marks: list[Mark] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows of all its chunks."""
        return sum(mark.rows for mark in self.marks)

    def place(self, position: int) -> str:
        """`row 4711 of relation orders`, of a position in what was sent."""
        relation = self.source.table.relation
        for mark in self.marks:
            if position < mark.rows:
                return f"row {int(self.world.chunk(relation, mark.chunk).rows[position])} of relation {relation}"
            position -= mark.rows
        return f"a row of relation {relation}"


class Filler:
    """Loads what an agenda holds, on any number of connections at once."""

    def __init__(self, job: Job, agenda: Agenda) -> None:
        self._job, self._agenda = job, agenda

    def __call__(self, connection: Connection) -> None:
        """Take chunks and load them until none is left."""
        while (found := self._agenda.next()) is not None:
            source, chunk = found
            sent = _Sent(self._job.world, source)
            wanted = f"rows in table {source.name}"
            with naming_holders(connection, wanted), explained(sent), connection.transaction():
                connection.execute(f"SET LOCAL ROLE {OWNER}")
                if source.file:
                    self._file(connection, sent)
                else:
                    self._chunks(connection, sent, chunk)
                connection.execute("RESET ROLE")
                ledger.note_chunks(connection, source.name, sent.marks)
            if not source.file:
                self._job.progress(sent.rows, sent.bytes)

    def _chunks(self, connection: Connection, sent: _Sent, first: int) -> None:
        source, index = sent.source, first
        binary = source.layout.binary
        with connection.cursor() as cursor, cursor.copy(source.copy()) as copy:
            if binary:
                copy.write(encoding.HEADER)
            while True:
                self._job.go_on()
                data = _encoded(self._job, sent, index)
                if len(data):
                    copy.write(data)
                sent.bytes += len(data)
                following = self._agenda.next_of(source) if sent.bytes < GROUP_BYTES else None
                if following is None:
                    break
                index = following
            if binary:
                copy.write(encoding.TRAILER)

    def _file(self, connection: Connection, sent: _Sent) -> None:
        file = sent.source.file
        assert file is not None  # noqa: S101 - for the type checker; asked by the caller
        with connection.cursor() as cursor:
            with cursor.copy(sent.source.copy()) as copy:
                for block in file.blocks(sent.source.target.columns):
                    self._job.go_on()
                    copy.write(block)
                    self._job.progress(0, len(block))
            sent.marks.append(Mark(0, cursor.rowcount, {}))
            self._job.progress(cursor.rowcount, 0)


def _encoded(job: Job, sent: _Sent, index: int) -> memoryview:
    """The bytes of one chunk, and its mark."""
    chunk = job.world.chunk(sent.source.table.relation, index)
    layout = sent.source.layout
    columns = sent.source.columns(chunk)
    sent.marks.append(Mark(index, len(chunk), sums.of_chunk(layout.columns, columns)))
    return layout.encode(columns)


class explained:  # noqa: N801 - a context manager, used as a function
    """What goes wrong while rows are sent, said in terms of the file or the relation that they come from."""

    def __init__(self, sent: _Sent) -> None:
        self._sent = sent

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        import psycopg

        source = self._sent.source
        if isinstance(error, EncodingError):
            where = self._sent.place(sum(mark.rows for mark in self._sent.marks[:-1]) + error.row)
            raise _failed(source, f"column {error.column!r}, {where}: {error.why}") from error
        if isinstance(error, WorldError):
            raise _failed(source, str(error)) from error
        if isinstance(error, psycopg.Error) and not lost(error) and error.sqlstate != LOCKED:
            raise _failed(source, _told(self._sent, error)) from error


def _failed(source: Source, found: str) -> SeedFailed:
    return SeedFailed(f"rows in table {source.name}", found, _MEND_FILE if source.file else _MEND_DATASET)


def _told(sent: _Sent, error: psycopg.Error) -> str:
    """The server's words, and before them the place in the file or the row of the relation."""
    place = _PLACE.search(error.diag.context or "")
    if place is None:
        where = str(sent.source.file.path) if sent.source.file else f"relation {sent.source.table.relation}"
        return f"{where}: {described(error)}"
    line, column, value = int(place[1]), place[2], place[3]
    where = sent.source.file.place(line) if sent.source.file else sent.place(line - 1)
    said = f"{where}: " + (f"column {column!r}: " if column else "")
    said += described(error)
    return f"{said}; value {value}" if column and value and value not in said else said

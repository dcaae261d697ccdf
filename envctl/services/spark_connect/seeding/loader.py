"""Runs a dataset's Spark SQL, and says what there is of what it made."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

from envctl.errors import SeedFailed
from envctl.protocols import NotReady
from envctl.seeding.loading import Size
from envctl.services.spark_connect.seeding.names import Made, made_by
from envctl.services.spark_connect.seeding.session import Refused, Session, first_words
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.model import Endpoint
    from envctl.seeding.loading import JSON, Job

STORAGE_SECONDS = 60.0
"""How long MinIO, which starts and is filled at the same time, may be away."""

_DETAILS = "# Detailed Table Information"
_LASTING = frozenset({"Location", "Partition Columns", "Provider", "Type", "View Text"})
"""Of what DESCRIBE says, what is the same for the same statement at any time."""


class SparkLoader:
    """Statements one after the other, in one session. The server's catalog is in its memory: a restart empties it."""

    def __init__(self, at: Endpoint, job: Job) -> None:
        self._at, self._job, self._spec = at, job, job.dataset.spark

    @cached_property
    def _made(self) -> list[Made]:
        return made_by(self._spec.sql)

    def size(self) -> Size:
        """Statements, and their bytes."""
        return Size(len(self._spec.sql), sum(len(statement.encode()) for statement in self._spec.sql))

    def footprint(self) -> JSON:
        """The dataset's own statements for removal, else what its statements make."""
        made = [[made.kind, made.database, made.name] for made in self._made]
        return {"clear": list(self._spec.clear), "made": made}

    def conflicts(self) -> list[str]:
        """Tables, views and databases of the same names."""
        if self._job.notes.get("began"):
            return []
        with Session(self._at) as spark:
            return [f"{made.kind.lower()} {made} is there" for made in _there(spark, self._made)]

    def load(self) -> None:
        """Run all statements; after a run that did not end, from the first on, with what they made removed."""
        with Session(self._at) as spark:
            if self._job.notes.get("ended") and len(_there(spark, self._made)) == len(self._made):
                return
            if self._job.notes.get("began"):
                _drop(spark, self._made)
            self._job.notes.set(began=True, ended=False)
            for statement in self._spec.sql:
                self._job.go_on()
                self._run(spark, statement)
                self._job.progress(1, len(statement.encode()))
            self._job.notes.set(ended=True)

    def _run(self, spark: Session, statement: str) -> None:
        """Run one statement, when storage is there: a table's place is listed when the table is made."""

        def attempt() -> None:
            try:
                spark.run(statement)
            except Refused as refused:
                if refused.waits:
                    raise NotReady(refused.found) from refused
                raise

        try:
            until(attempt, STORAGE_SECONDS, "storage", self._job.stop)
        except TimedOut as late:
            self._job.go_on()
            wanted = f"statement {first_words(statement)!r} run by spark-connect within {STORAGE_SECONDS:g} s"
            raise SeedFailed(wanted, late.last, "see that minio runs and has the bucket; seed again") from late

    def present(self) -> bool:
        """Whether everything that was made is in the catalog."""
        with Session(self._at) as spark:
            return len(_there(spark, self._made)) == len(self._made)

    def measure(self) -> JSON:
        """Of each table and view its columns and a digest of its definition; rows are not counted."""
        with Session(self._at) as spark:
            described = {str(made): _described(spark, made) for made in self._made}
        return {name: found for name, found in described.items() if found is not None}

    def difference(self, recorded: JSON, measured: JSON) -> str:
        """The first table or view that is missing or other than it was."""
        for name in [*recorded, *(name for name in measured if name not in recorded)]:
            was, now = recorded.get(name), measured.get(name)
            if was == now:
                continue
            if was is None or now is None:
                return f"spark-connect {name}: {'was not made by the dataset' if was is None else 'is not there'}"
            if was["kind"] != now["kind"]:
                return f"spark-connect {name}: wanted a {was['kind']}, found a {now['kind']}"
            for column in [*was["columns"], *now["columns"]]:
                wanted, seen = was["columns"].get(column, "none"), now["columns"].get(column, "none")
                if wanted != seen:
                    return f"spark-connect {name}, column {column}: wanted {wanted}, found {seen}"
            return f"spark-connect {name}: the definition of the {was['kind']} is another"
        return ""


def clear(at: Endpoint, footprint: Mapping[str, Any]) -> str:
    """Run the footprint's statements for removal; without any, drop what was made, the last one first."""
    made = [Made(*parts) for parts in footprint.get("made", [])]
    with Session(at) as spark:
        count = len(_there(spark, made))
        for statement in footprint.get("clear", []):
            try:
                spark.run(statement)
            except Refused as refused:
                # What a restart of Spark took along already.
                if not refused.absent:
                    raise
        _drop(spark, made)
    return f"{count} of {len(made)} tables and views"


def _drop(spark: Session, made: Sequence[Made]) -> None:
    for thing in reversed(made):
        spark.run(thing.drop)


def _there(spark: Session, made: Iterable[Made]) -> list[Made]:
    """Those that are in the catalog, in the order given."""
    wanted = list(made)
    databases: set[str] = set()
    if any(not thing.name for thing in wanted):
        databases = {str(row["namespace"]).lower() for row in spark.run("SHOW DATABASES")}
    return [m for m in wanted if (spark.knows(m.full) if m.name else m.database in databases)]


def _described(spark: Session, made: Made) -> JSON | None:
    """What stays the same as long as nobody changes it; None where it is not there."""
    if not made.name:
        return {"rows": 0, "kind": "database", "columns": {}, "digest": ""} if _there(spark, [made]) else None
    # Not asked for first, as that lists a table's files.
    try:
        told = spark.run(f"DESCRIBE TABLE EXTENDED {made.quoted}")
    except Refused as refused:
        if refused.absent:
            return None
        raise
    columns: dict[str, str] = {}
    lasting: list[str] = []
    details = False
    for row in told:
        name, said = str(row["col_name"]), str(row["data_type"])
        details = details or name == _DETAILS
        if details and name in _LASTING:
            lasting.append(f"{name}: {said}")
        elif not details and name and not name.startswith("#"):
            columns[name] = said
    digest = hashlib.sha256("\n".join([*sorted(lasting), repr(columns)]).encode()).hexdigest()
    return {"rows": 0, "kind": made.kind.lower(), "columns": columns, "digest": digest[:32]}

"""Which tables, views and databases Spark SQL statements make, by their texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.errors import ConfigurationError, Problem
from envctl.services.spark_connect.seeding.session import first_words

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT, GLOBAL = "default", "global_temp"
CATALOG = "spark_catalog"
"""Spark's own name for the catalog that everything is in."""

_PART = r"(?:`(?:[^`]|``)+`|\w+)"
_NAME = rf"({_PART}(?:\s*\.\s*{_PART})*)"
_COMMENTS = re.compile(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_CREATE = re.compile(
    r"CREATE\s+(?:OR\s+REPLACE\s+)?(?P<scope>GLOBAL\s+TEMP(?:ORARY)?\s+|TEMP(?:ORARY)?\s+)?(?:EXTERNAL\s+)?"
    rf"(?P<kind>TABLE|VIEW|DATABASE|SCHEMA|NAMESPACE)\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}",
    re.IGNORECASE,
)
_USE = re.compile(rf"USE\s+(?:(?:DATABASE|SCHEMA|NAMESPACE)\s+)?{_NAME}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Made:
    """One thing that a statement makes: `TABLE`, `VIEW` or `DATABASE`; the latter has no name in itself."""

    kind: str
    database: str
    name: str = ""

    def __str__(self) -> str:
        return ".".join(filter(None, (self.database, self.name)))

    @property
    def quoted(self) -> str:
        """As SQL takes it."""
        return ".".join("`" + part.replace("`", "``") + "`" for part in filter(None, (self.database, self.name)))

    @property
    def full(self) -> str:
        """As `quoted`, from the catalog on.

        What a query names by two parts Spark takes for a format and a path first, and starts a Python worker to ask
        for formats made in Python: 0.75 s of CPU on a cold server (measured, 4.1).
        """
        return self.quoted if self.database == GLOBAL else f"`{CATALOG}`.{self.quoted}"

    @property
    def drop(self) -> str:
        """The statement that removes it where it is there."""
        return f"DROP {self.kind} IF EXISTS {self.quoted}{'' if self.name else ' CASCADE'}"


def made_by(statements: Iterable[str]) -> list[Made]:
    """What the statements make, in order; `USE` is followed.

    Raises:
        ConfigurationError: a temporary view, which nobody but the session that makes it would see.

    """
    found, database, problems = [], DEFAULT, []
    for statement in statements:
        text = statement[_COMMENTS.match(statement).end() :]  # type: ignore[union-attr] # it matches nothing too
        if use := _USE.match(text):
            database = _parts(use[1])[-1]
        if not (create := _CREATE.match(text)):
            continue
        kind, scope, parts = create["kind"].upper(), (create["scope"] or "").upper(), _parts(create[3])
        if scope.startswith("TEMP"):
            problems.append(Problem(f"{first_words(statement)!r} makes what only its session sees", "spark.sql"))
        elif kind in {"TABLE", "VIEW"}:
            inside = GLOBAL if scope else parts[-2] if len(parts) > 1 else database
            found.append(Made(kind, inside, parts[-1]))
        else:
            found.append(Made("DATABASE", parts[-1]))
    if problems:
        raise ConfigurationError(problems, "a valid dataset")
    return list(dict.fromkeys(found))


def _parts(name: str) -> list[str]:
    """The parts of a name, without quotes; as Spark keeps them, in lower case."""
    found = re.findall(_PART, name)
    return [(part[1:-1].replace("``", "`") if part.startswith("`") else part).lower() for part in found]

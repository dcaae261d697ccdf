"""A dataset as data: what its YAML file says, checked, with every path absolute and every default filled in.

Expressions are texts of the language in `envctl.seeding.expressions`; they are parsed and tried on a few rows when the
file is read, so that nobody else meets a broken one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


Shape = Any
"""The fields of one version of a file's records: name to expression, or to the fields of a nested record."""


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows that are generated; nothing is stored by being generated.

    Either `rows` many (after scaling; `fixed` ones are not scaled), or `per` a parent's row: `count` is an expression
    over the parent's columns, never more than `most`. `open`: as many per parent's row as somebody takes.
    """

    name: str
    columns: Mapping[str, str]
    rows: int = 0
    fixed: bool = False
    per: str = ""
    count: str = ""
    most: int = 0
    open: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """What fills one PostgreSQL table (`schema.table` or `table`): a relation, or one file of `format`.

    `columns` maps the table's column to an expression over the relation; empty: every column of the relation by name.
    """

    name: str
    relation: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    format: str = ""  # csv, jsonl, parquet


@dataclass(frozen=True, slots=True)
class Postgres:
    """`sql` runs before the tables are filled, `after` when they are full; in the database `app`, as `app`."""

    sql: tuple[Path, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    after: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Topic:
    """One Kafka topic: its settings, and a relation or a JSONL file that fills it; neither: it stays empty.

    `key`, `value` and `headers` are expressions (null `value`: a tombstone; null header: not there); `timestamp` gives
    a time; `partition` a number, empty: as Kafka's own partitioner places the key (murmur2).
    """

    name: str
    partitions: int = 1
    config: Mapping[str, str] = field(default_factory=dict)
    relation: str = ""
    key: str = ""
    value: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    timestamp: str = ""
    partition: str = ""
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """Redis keys of one type, made from a relation: `key` is the key's expression.

    `type` and `fields`: `string` {value}; `hash` {field: expression …}; `list`, `set` {member}; `zset` {member, score};
    `stream` {id, and the entry's fields}. Several rows may give the same key (members of one set). `ttl` is in
    seconds from the load on, 0 for none. A row where `when` is false gives none.
    """

    relation: str
    key: str
    type: str
    fields: Mapping[str, str]
    ttl: int = 0
    when: str = ""


@dataclass(frozen=True, slots=True)
class Redis:
    """Keys in database 0, then files of commands, one a line, as redis-cli reads them."""

    keys: tuple[Keys, ...] = ()
    commands: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Objects:
    """Generated objects, one per row of `relation`; the other texts are expressions over it.

    `size` is every object's exact bytes (after scaling). `format`: jsonl, csv or parquet. `version` names one of
    `versions`, the record's fields over the open relation `content`, whose rows are those of parent row `content_of`
    (objects that share it are copies of each other). `defect`: none, corrupt, truncated, empty or encoding.
    """

    relation: str
    key: str
    size: int
    format: str
    content: str
    versions: Mapping[str, Shape]
    version: str
    content_of: str = "row"
    defect: str = "'none'"


@dataclass(frozen=True, slots=True)
class Folder:
    """The files below `path`, as objects under `prefix`."""

    path: Path
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket; made where it is missing."""

    name: str
    folders: tuple[Folder, ...] = ()
    objects: tuple[Objects, ...] = ()


@dataclass(frozen=True, slots=True)
class Spark:
    """Spark SQL statements, run one after the other; `{name}` in none of them means anything."""

    sql: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """A Python function that is called with the environment when everything else is loaded: `file.py:name`."""

    file: Path
    name: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset at one scale. `digest` changes when anything that determines the loaded data changes.

    `files` are all that it was read from, those of its folders and the folders too: while none of them has changed, it
    is the same.
    """

    name: str
    file: Path
    description: str = ""
    seed: int = 0
    scale: float = 1.0
    digest: str = ""
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    relations: Mapping[str, Relation] = field(default_factory=dict)
    postgres: Postgres = field(default_factory=Postgres)
    topics: Mapping[str, Topic] = field(default_factory=dict)
    redis: Redis = field(default_factory=Redis)
    buckets: Mapping[str, Bucket] = field(default_factory=dict)
    spark: Spark = field(default_factory=Spark)
    functions: tuple[Function, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def services(self) -> tuple[str, ...]:
        """The services that it has something for."""
        postgres = self.postgres.sql or self.postgres.tables or self.postgres.after
        redis = self.redis.keys or self.redis.commands
        shares = {
            "postgres": bool(postgres),
            "kafka": bool(self.topics),
            "redis": bool(redis),
            "minio": bool(self.buckets),
            "spark-connect": bool(self.spark.sql),
        }
        return tuple(name for name, there in shares.items() if there)

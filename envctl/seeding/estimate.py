"""How much a dataset loads into each service, reckoned from a few rows of its relations: in milliseconds, at any
scale. Rows of relations with `rows` and the bytes of objects and files are exact; the rest is as the sample is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from envctl.seeding import arrow, texts
from envctl.seeding.column import lengths
from envctl.seeding.glimpse import Glimpse
from envctl.seeding.loading import Size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from envctl.seeding.spec import Dataset, Folder, Keys, Objects, Table, Topic
    from envctl.seeding.world import Chunk

SAMPLE = 5000
"""Rows of a relation that are looked at."""

_MESSAGE = 12
"""Bytes of a Kafka record besides key, value and headers: its deltas, lengths and attributes."""

_ARGUMENT = 8
"""Bytes of a Redis argument besides itself: `$123\\r\\n…\\r\\n`."""

SPEED = {
    "postgres": (1_450_000, 145e6),
    "kafka": (1_000_000, 230e6),
    "redis": (1_300_000, 195e6),
    "minio": (400, 180e6),
}
"""Rows and bytes a second that a service takes, generation included; both are paid. Each measured alone, on two cores:
2 M rows (61 MB) into PostgreSQL in 2.5 s, 2 M messages of 200 bytes into Kafka in 4.5 s, 1 M strings (91 MB) into Redis
in 1.9 s, 100 objects of 10 MB into MinIO in 6.4 s, of which the process itself took 0.7 s each time."""

START = 0.3
"""Seconds that every load costs: connections, schema, topics, statistics."""


def sizes(dataset: Dataset, sample: int = SAMPLE) -> dict[str, Size]:
    """Rows (messages, keys, objects) and bytes by service, from `sample` rows of each relation."""
    world = Glimpse(dataset, sample, middle=True)
    found = {
        "postgres": _sum(_table(world, table) for table in dataset.postgres.tables.values()),
        "kafka": _sum(_topic(world, topic) for topic in dataset.topics.values()),
        "redis": _sum(_keys(world, rule) for rule in dataset.redis.keys) + _sum(map(_lines, dataset.redis.commands)),
        "minio": _minio(world),
    }
    return {service: found.get(service, Size(0, 0)) for service in dataset.services}


def seconds(sizes: Mapping[str, Size]) -> float:
    """About how long a load takes on two cores, which the services share when they are loaded side by side."""
    return START + sum(
        size.rows / SPEED[name][0] + size.bytes / SPEED[name][1] for name, size in sizes.items() if name in SPEED
    )


def _table(world: Glimpse, table: Table) -> Size:
    if table.file:
        return _lines(table.file, header=table.format == "csv") if table.format != "parquet" else _parquet(table.file)
    chunk = world.some(table.relation)
    columns = table.columns or {name: name for name in chunk.relation.columns}
    return _generated(world, chunk, columns.values(), len(columns))


def _topic(world: Glimpse, topic: Topic) -> Size:
    if topic.file:
        return _lines(topic.file)
    if not topic.relation:
        return Size(0, 0)
    parts = [topic.key, topic.value, *topic.headers.values()]
    own = _MESSAGE + sum(map(len, topic.headers))
    return _generated(world, world.some(topic.relation), filter(None, parts), own)


def _keys(world: Glimpse, rule: Keys) -> Size:
    own = _ARGUMENT * (2 * len(rule.fields) + 3) + sum(map(len, rule.fields))
    chunk = world.some(rule.relation)
    size = _generated(world, chunk, [rule.key, *rule.fields.values()], own, rule.when)
    kept, names = _kept(chunk, rule.when), texts.text(chunk.expression(f"sample of {rule.key}", rule.key))
    made, different = int(kept.sum()), len(pc.unique(names.filter(arrow.array(kept))))
    looked_at, tops = world.tops(rule.relation)
    # Rows may fill keys together, as members of a set do. Where most have a key of their own, so have those not seen.
    few = looked_at == tops or different * 2 < made
    return Size(different if few else size.rows * different // max(1, made), size.bytes)


def _generated(world: Glimpse, chunk: Chunk, sources: Iterable[str], own: int, when: str = "") -> Size:
    """What all rows of a relation come to, if they are as those few: each source as text, and `own` bytes."""
    kept = _kept(chunk, when)
    total = int(kept.sum()) * own
    for source in sources:
        total += int(lengths(texts.text(chunk.expression(f"sample of {source}", source)))[kept].sum())
    looked_at, tops = world.tops(chunk.relation.name)
    return Size(int(kept.sum()) * tops // looked_at, total * tops // looked_at)


def _kept(chunk: Chunk, when: str) -> NDArray[np.bool_]:
    """Which rows make something."""
    if not when:
        return np.ones(len(chunk), np.bool_)
    return chunk.expression(f"sample of {when}", when).numbers.astype(np.bool_)


def _minio(world: Glimpse) -> Size:
    total = Size(0, 0)
    for bucket in world.dataset.buckets.values():
        total += _sum(map(_folder, bucket.folders))
        for rule in bucket.objects:
            rows = world.rows(rule.relation)
            total += Size(rows, _filled(world.some(rule.relation), rule, rows) * rule.size)
    return total


def _filled(chunk: Chunk, rule: Objects, rows: int) -> int:
    """How many of so many objects are not empty."""
    empty = texts.text(chunk.expression(f"sample of {rule.defect}", rule.defect)).to_pylist().count("empty")
    return int(rows - rows * empty // max(1, len(chunk)))


def _folder(folder: Folder) -> Size:
    found = [file.stat().st_size for file in folder.path.rglob("*") if file.is_file()]
    return Size(len(found), sum(found))


def _lines(file: Path, *, header: bool = False) -> Size:
    with file.open("rb") as opened:
        rows = sum(1 for _ in opened)
    return Size(max(0, rows - header), file.stat().st_size)


def _parquet(file: Path) -> Size:
    import pyarrow.parquet as pq

    return Size(pq.read_metadata(file).num_rows, file.stat().st_size)


def _sum(sizes: Iterable[Size]) -> Size:
    return sum(sizes, Size(0, 0))

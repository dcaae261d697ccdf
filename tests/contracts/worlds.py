"""The shipped datasets as a reader of each service would find them, made by the generator alone, and their digests.

After a change that is meant to change the values of `small`, renew the golden digests:
`.venv/bin/python -m tests.contracts.worlds > tests/contracts/small.golden.json`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.seeding import spec, texts
from envctl.seeding.column import contiguous
from envctl.seeding.facts import Facts
from envctl.seeding.objects import Bodies, compute
from envctl.seeding.world import World

if TYPE_CHECKING:
    from envctl.seeding.spec import Keys, Objects

SCALES = (("small", 1.0), ("medium", 0.01), ("large", 0.001))
GOLDEN = Path(__file__).parent / "small.golden.json"

Row = dict[str, Any]
Message = tuple[str, Any, Row, str]


def fresh(name: str, scale: float) -> World:
    """A world that nobody has used, with the facts of its objects."""
    dataset = spec.load(name, scale)
    world = World(dataset)
    world.facts = Facts(compute(world, dataset)).columns
    return world


@cache
def shared(name: str, scale: float) -> World:
    """A world for many tests."""
    return fresh(name, scale)


def rows(world: World, relation: str, columns: dict[str, str]) -> list[Row]:
    """Rows as JSON says them; numbers with a point are texts, so that 1.10 is not 1.1."""
    found: list[Row] = []
    for chunk in world.iterate(relation):
        made = {name: chunk.expression(f"test {relation} {name}", source) for name, source in columns.items()}
        found += [json.loads(line, parse_float=str) for line in texts.json_object(made).to_pylist()]
    return found


def table(world: World, name: str) -> list[Row]:
    """A PostgreSQL table."""
    described = world.dataset.postgres.tables[name]
    return rows(world, described.relation, dict(described.columns))


def topic(world: World, name: str) -> list[Message]:
    """A Kafka topic: key, value, headers and time of each message, in the order of each key's partition."""
    described = world.dataset.topics[name]
    wanted = {"key": described.key, "value": described.value, "timestamp": described.timestamp}
    headers = {f"header {header}": source for header, source in described.headers.items()}
    return [
        (row["key"], row["value"], {h: row[f"header {h}"] for h in described.headers}, row["timestamp"])
        for row in rows(world, described.relation, wanted | headers)
    ]


def keys(world: World, rule: Keys) -> list[Row]:
    """What one rule puts into Redis: `key` and the fields of each element, in order."""
    found = rows(world, rule.relation, {"key": rule.key, "when": rule.when or "True", **rule.fields})
    return [row for row in found if row.pop("when")]


def objects(world: World) -> tuple[Objects, Bodies]:
    """The one rule for objects, and the objects."""
    (rule,) = world.dataset.buckets["app"].objects
    return rule, Bodies(world, rule)


def digests(world: World) -> dict[str, str]:
    """A digest of all values by relation and column (of open relations: 1000 rows of the first parent's row)."""
    found = {}
    for name, relation in world.relations.items():
        chunks = [world.opened(name, 0, 0, 1000)] if relation.open else list(world.iterate(name))
        for column in relation.columns:
            digest = hashlib.blake2b(digest_size=8)
            for chunk in chunks:
                digest.update(contiguous(texts.json_value(chunk.column(column))))
            found[f"{name}.{column}"] = digest.hexdigest()
    return found


if __name__ == "__main__":
    json.dump(digests(fresh(*(sys.argv[1:2] or ["small"]), float((sys.argv[2:3] or ["1"])[0]))), sys.stdout, indent=1)
    sys.stdout.write("\n")

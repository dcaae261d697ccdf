"""A small shop's cache as a dataset, and how tests load it."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from envctl.model import Endpoint, Identity
from envctl.seeding.facts import Fact, Facts
from envctl.seeding.journal import Journal
from envctl.seeding.loading import Job
from envctl.seeding.spec import Dataset, Keys, Redis, Relation
from envctl.seeding.world import World
from envctl.services.redis.seeding import RedisLoader
from envctl.state import StateFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = 3000
DAY = 86_400

RELATIONS = {
    "customers": Relation(
        "customers",
        {
            "id": "row + 1",
            "name": 'f"Zoë {hex(8)}"',
            "tier": 'choose({"gold": 1, "silver": 3})',
            "note": 'f"line\\n{id}" if chance(0.5) else None',
            "score": "number(1, 1000)",
        },
        rows=ROWS,
    ),
    "tags": Relation("tags", {"tag": 'f"t{number(1, 50)}"'}, per="customers", count="number(0, 3)", most=3),
}

KEYS = (
    Keys("customers", 'f"customer:{id}"', "hash", {"name": "name", "tier": "tier", "note": "note"}, ttl=30 * DAY),
    Keys("customers", 'f"product:{id:06}"', "string", {"value": "json(name=name, score=score)"}),
    Keys("customers", 'f"session:{id}"', "string", {"value": "name"}, ttl=DAY, when="id % 3 == 0"),
    Keys("customers", "'best'", "zset", {"member": "id", "score": "decimal(score, 2)"}),
    Keys("customers", "'queue'", "list", {"member": "id"}),
    Keys("tags", 'f"tags:{parent.id}"', "set", {"member": "tag"}, ttl=DAY),
    Keys("tags", 'f"visits:{parent.score % 7}"', "list", {"member": "tag"}),
    Keys("customers", "'events'", "stream", {"id": "1700000000000 + id", "name": "name", "note": "note"}),
)

COMMANDS = """\
# What is in no rule.
SET config:greeting "hello\\tworld"
SADD config:flags a b c
INCR config:version
HSET config:limits 'per day' 10
"""


def shop(folder: Path, seed: int = 1, keys: tuple[Keys, ...] = KEYS, commands: str = COMMANDS) -> Dataset:
    """The cache of a shop; its file of commands is in the folder."""
    file = folder / "extra.redis"
    file.write_text(commands)
    files = (file,) if commands else ()
    return Dataset("shop", folder / "shop.yaml", seed=seed, relations=RELATIONS, redis=Redis(keys, files))


def loader(
    at: Endpoint, dataset: Dataset, state: str = "state", progress: Callable[[int, int], None] = lambda _, __: None
) -> RedisLoader:
    """A loader; loaders of one folder and `state` share a journal, as runs one after the other do."""
    return RedisLoader(at, job(dataset, state, progress))


def job(dataset: Dataset, state: str, progress: Callable[[int, int], None]) -> Job:
    """What a loader is given."""

    def unknown(relation: str, row: int) -> Fact:
        raise AssertionError((relation, row))

    folder = StateFolder(state, dataset.file.parent / "states")
    folder.create()
    notes = Journal(folder).notes("redis")
    return Job(dataset, World(dataset), Facts(unknown), notes, progress, stop=threading.Event())


def loaded(at: Endpoint, dataset: Dataset, state: str = "state") -> dict[str, Any]:
    """What is there after a load."""
    one = loader(at, dataset, state)
    one.load()
    return one.measure()


def written(at: Endpoint) -> str:
    """An endpoint as a text, for another process."""
    assert at.admin
    return json.dumps([at.host, at.port, at.admin.username, at.admin.password])


def read(text: str) -> Endpoint:
    """The endpoint of such a text."""
    host, port, username, password = json.loads(text)
    return Endpoint("redis", host, {"redis": port}, Identity(username, password))


__all__ = ["KEYS", "ROWS", "job", "loaded", "loader", "read", "replace", "shop", "written"]

"""A small world for Kafka's topics, and a load of it that can be killed: run as a program, it loads."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envctl.model import Endpoint, Identity
from envctl.seeding.facts import Facts
from envctl.seeding.journal import Journal
from envctl.seeding.loading import Job
from envctl.seeding.spec import Dataset, Relation, Topic
from envctl.seeding.world import World
from envctl.services.kafka import Kafka
from envctl.state import StateFolder

COLUMNS = {
    "id": "row + 1",
    "customer": "number(1, 500, skew=2)",
    "at": "moment('2025-01-01', '2026-01-01')",
    "kind": "choose({'placed': 5, 'paid': 3, 'cancelled': 1})",
    "gone": "deal({'no': 9, 'yes': 1}) == 'yes'",
    "noise": 'f"{hex(16)}{hex(16)}{hex(16)}{hex(16)}{hex(16)}{hex(16)}"',
}

EVENTS = Topic(
    "shop.events",
    partitions=6,
    relation="events",
    key='f"customer-{customer}"',
    value="json(id=id, kind=kind, at=at, noise=noise) if not gone else None",
    headers={"kind": "kind", "id": "text(id) if not gone else None"},
    timestamp="at",
)
STATE = Topic(
    "shop.state",
    partitions=3,
    config={"cleanup.policy": "compact"},
    relation="events",
    key="text(customer)",
    value="json(kind=kind) if not gone else None",
    timestamp="at",
)
PLAIN = Topic("shop.plain", partitions=2, relation="events", value="noise", partition="id % 2")
EMPTY = Topic("shop.empty", partitions=4)


def dataset(*topics: Topic, rows: int = 3000) -> Dataset:
    """These topics over `rows` events."""
    relation = Relation("events", COLUMNS, rows=rows)
    return Dataset(
        "small", Path("small.yaml"), seed=42, relations={"events": relation}, topics={t.name: t for t in topics}
    )


@dataclass
class Heard:
    """What a load said of its progress."""

    rows: int = 0
    bytes: int = 0
    loads: int = field(default=0)

    def __call__(self, rows: int, size: int) -> None:
        """As a job's `progress`."""
        self.rows, self.bytes, self.loads = self.rows + rows, self.bytes + size, self.loads + 1


def job(data: Dataset, environment: str = "seeded") -> Job:
    """A job on the journal of an environment (in the test's own state folder)."""
    folder = StateFolder(environment)
    folder.create()

    def no_facts(relation: str, row: int) -> Any:  # noqa: ANN401 - never returns
        raise AssertionError(f"nobody asks for objects: {relation} {row}")

    return Job(data, World(data), Facts(no_facts), Journal(folder).notes("kafka"), Heard())


def main() -> None:
    """Load the world, having said so: arguments are the endpoint as JSON, and rows."""
    given = json.loads(sys.argv[1])
    at = Endpoint("kafka", given["host"], given["ports"], Identity("envctl", given["password"]))
    loader = Kafka().loader(at, job(dataset(EVENTS, STATE, PLAIN, EMPTY, rows=int(sys.argv[2]))))
    sys.stdout.write("loading\n")
    sys.stdout.flush()
    loader.load()


if __name__ == "__main__":
    main()

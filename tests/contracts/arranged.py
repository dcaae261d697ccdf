"""What some faults need before they can be put in force at all: something to hurt, and its name."""

from __future__ import annotations

import struct
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.services.kafka.chaos.groups import require_coordinator
from envctl.services.kafka.wire import Connection, array, check, data, string
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envctl import Environment


def _a_topic(env: Environment) -> dict[str, Any]:
    """A topic with some records."""
    producer = env.kafka.producer(enable_idempotence=False)
    for _ in range(10):
        producer.send("faults", b"value").get(timeout=60)
    producer.close()
    return {"topic": "faults"}


def _a_group(group: str, env: Environment) -> dict[str, Any]:
    """A consumer group with a member that is away, and has half an hour to come back: whoever joins waits for it."""
    at, long = env.kafka.endpoint, 30 * 60 * 1000
    protocols = array([string("range") + data(b"")])
    wanted = string(group) + struct.pack(">ii", long, long) + string("") + string("consumer") + protocols

    def join() -> None:
        with Connection(at.host, at.port, 60) as connection:
            require_coordinator(connection, group)
            response = connection.call(11, 2, wanted)
            response.number("i")
            check("join a group", response.number("h"))

    until(join, 60, "a member of a group")
    return {"group": group}


def _a_postgres_table(env: Environment) -> dict[str, Any]:
    """A table with a row."""
    with env.postgres.connect(autocommit=True) as db:
        db.execute("CREATE TABLE IF NOT EXISTS faults AS SELECT 1 AS id")
    return {"table": "faults"}


def _redis_keys(env: Environment) -> dict[str, Any]:
    """Some keys."""
    with env.redis.client() as client:
        client.mset({f"faults:{number}": number for number in range(20)})
    return {"keys": 5}


ARRANGED: Mapping[tuple[str, str], Callable[[Environment], dict[str, Any]]] = MappingProxyType(
    {
        ("poison-record", "kafka"): _a_topic,
        ("truncate-log", "kafka"): _a_topic,
        ("lose-leader", "kafka"): _a_topic,
        ("rebalance", "kafka"): partial(_a_group, "members"),
        ("lose-coordinator", "kafka"): partial(_a_group, "coordinated"),
        ("evict", "redis"): _redis_keys,
        ("deadlock", "postgres"): _a_postgres_table,
        ("lock", "postgres"): _a_postgres_table,
        ("serialization-failures", "postgres"): _a_postgres_table,
        ("reject-produce", "kafka"): _a_topic,
    }
)
"""By fault and service: makes what it needs, where it is not there yet, and returns the parameters."""

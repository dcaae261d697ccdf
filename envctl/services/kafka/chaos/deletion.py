"""Deleting the oldest records of partitions, by Kafka's own request."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from envctl.errors import FaultUnfit
from envctl.services.kafka.chaos import settings
from envctl.services.kafka.wire import array, check, string

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.services.kafka.wire import Connection


def deletes(connection: Connection, topic: str) -> bool:
    """Whether Kafka deletes records of the topic for their age at all; only then does it on request."""
    value, _ = settings.read(connection, [topic], "cleanup.policy").get(topic, ("", False))
    return "delete" in value


def require(connection: Connection, topic: str) -> None:
    """See that records of the topic can be deleted.

    Raises:
        FaultUnfit: it is compacted only.

    """
    if not deletes(connection, topic):
        wanted = f"cleanup.policy of {topic} with delete"
        raise FaultUnfit(wanted, "compact: Kafka deletes nothing of it for its age", "name another topic")


def delete_before(connection: Connection, topic: str, offsets: Mapping[int, int]) -> None:
    """Have each partition begin at its offset; one that begins later stays as it is."""
    wanted = array(struct.pack(">iq", number, offset) for number, offset in offsets.items())
    response = connection.call(21, 0, array([string(topic) + wanted]) + struct.pack(">i", connection.timeout_ms))
    response.number("i")

    def partition() -> None:
        number = response.number("i")
        response.number("q")
        check(f"delete records of {topic}-{number}", response.number("h"))

    response.array(lambda: (response.string(), response.array(partition)))

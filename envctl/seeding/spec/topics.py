"""Kafka's rules for topics: names, and files of messages."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERNAL = frozenset({"__consumer_offsets", "__transaction_state", "__cluster_metadata"})
"""Kafka's own topics, which nobody else may write."""

FIELDS = ("key", "value", "headers", "timestamp", "partition")
"""What a line of a topic's file may say."""


def refusal(name: str) -> str:
    """Why Kafka would refuse the name, besides its letters and length; empty where it would not."""
    if name in {".", ".."}:
        return "cannot be a topic's name"
    return "is Kafka's own topic" if name in INTERNAL else ""


def collision(name: str, others: Iterator[str]) -> str:
    """The other name that Kafka takes for the same, since `.` and `_` are one in the names of its metrics."""
    return next((other for other in others if other != name and _metric(other) == _metric(name)), "")


def message_problem(message: Any, partitions: int, *, keyed: bool) -> str:  # noqa: ANN401 - any JSON
    """What is wrong with a line of a topic's file, as JSON; empty where nothing is."""
    if not isinstance(message, dict) or "value" not in message:
        return "has no value (null is a tombstone)" if isinstance(message, dict) else "must be a JSON object"
    if unknown := [field for field in message if field not in FIELDS]:
        return f"unknown field {unknown[0]!r}; known: {', '.join(FIELDS)}"
    if keyed and message.get("key") is None:
        return "has no key, which a compacted topic needs"
    if not isinstance(message.get("headers") or {}, dict):
        return "headers must be an object"
    partition = message.get("partition")
    if partition is not None and not (type(partition) is int and 0 <= partition < partitions):
        return f"partition must be a whole number from 0 to {partitions - 1}; found {partition!r}"
    return _time_problem(message.get("timestamp"))


def _time_problem(timestamp: object) -> str:
    """A time is milliseconds since 1970, or text in ISO 8601."""
    if isinstance(timestamp, str):
        try:
            dt.datetime.fromisoformat(timestamp)
        except ValueError:
            pass
        else:
            return ""
    elif timestamp is None or (type(timestamp) is int and timestamp >= 0):
        return ""
    return f"timestamp must be milliseconds since 1970, or such as '2026-01-31T12:00:00Z'; found {timestamp!r}"


def _metric(name: str) -> str:
    return name.replace(".", "_")

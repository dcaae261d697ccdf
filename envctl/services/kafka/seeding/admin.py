"""Topics as the broker has them: looked at, created, deleted."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envctl.services.kafka.seeding.client import offsets
from envctl.services.kafka.wire import UNKNOWN_TOPIC, Failed, array, check, string

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.seeding.spec import Topic
    from envctl.services.kafka.seeding.client import Session

_TOPIC = 2
_NO_NAME = 17
"""What no topic can be called is not there; `create` says why."""
_OWN_SETTING = 1
"""A setting of the topic's own, as `describe configs` numbers where a setting comes from."""


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as it is: the settings of its own, and for each partition the offsets of its start and its end."""

    partitions: int
    settings: Mapping[str, str] = field(default_factory=dict)
    starts: Sequence[int] = ()
    ends: Sequence[int] = ()


def partitions(at: Session, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions each of the topics has that are there. Creates none, whatever the broker would like.

    Raises:
        Failed: a partition has no leader yet.

    """
    response = at.call(3, 4, array(map(string, topics)) + b"\0")
    response.number("i")
    response.array(lambda: (response.number("i"), response.string(), response.number("i"), response.string()))
    response.string()
    response.number("i")
    found: dict[str, int] = {}

    def partition() -> None:
        code = response.number("h")
        response.take(8)
        response.array(lambda: response.number("i"))
        response.array(lambda: response.number("i"))
        check("a partition's leader", code)

    def topic() -> None:
        code, name = response.number("h"), response.string()
        response.take(1)
        count = len(response.array(partition))
        if code not in {UNKNOWN_TOPIC, _NO_NAME}:
            check(f"topic {name}", code)
            found[name] = count

    response.array(topic)
    return found


def settings(at: Session, topics: Iterable[str]) -> dict[str, dict[str, str]]:
    """The settings that each topic has of its own."""
    every = struct.pack(">i", -1)
    response = at.call(32, 1, array(struct.pack(">b", _TOPIC) + string(t) + every for t in topics) + b"\0")
    response.number("i")

    def setting() -> tuple[str, str, int]:
        name, value, _, source = response.string(), response.string(), response.number("b"), response.number("b")
        response.take(1)
        response.array(lambda: (response.string(), response.string(), response.number("b")))
        return name, value, source

    def topic() -> tuple[str, dict[str, str]]:
        code, message = response.number("h"), response.string()
        response.take(1)
        name = response.string()
        found = response.array(setting)
        check(f"settings of {name}", code, message)
        return name, {key: value for key, value, source in found if source == _OWN_SETTING}

    return dict(response.array(topic))


def look(at: Session, topics: Iterable[str]) -> dict[str, Found]:
    """Those of the topics that are there."""
    counts = partitions(at, topics)
    if not counts:
        return {}
    own, starts, ends = settings(at, counts), offsets(at, counts, earliest=True), offsets(at, counts)
    return {name: Found(count, own[name], starts[name], ends[name]) for name, count in counts.items()}


def create(at: Session, topics: Iterable[Topic], *, try_only: bool = False) -> dict[str, Failed]:
    """Create all topics by one request; by name, those that the broker refuses. `try_only`: only ask whether."""
    wanted = [
        string(topic.name)
        + struct.pack(">ih", topic.partitions, 1)
        + array(())
        + array(string(key) + string(value) for key, value in topic.config.items())
        for topic in topics
    ]
    return _refusals(at, 19, 2, array(wanted) + struct.pack(">ib", at.timeout_ms, try_only), "create topic")


def delete(at: Session, topics: Iterable[str]) -> dict[str, Failed]:
    """Ask for the topics' removal, which goes on after the answer; by name, those that the broker refuses."""
    body = array(map(string, topics)) + struct.pack(">i", at.timeout_ms)
    return _refusals(at, 20, 1, body, "delete topic", messages=False)


def _refusals(
    at: Session, api: int, version: int, body: bytes, what: str, *, messages: bool = True
) -> dict[str, Failed]:
    response = at.call(api, version, body)
    response.number("i")
    answers = response.array(lambda: (response.string(), response.number("h"), response.string() if messages else ""))
    return {name: Failed(f"{what} {name}", code, message) for name, code, message in answers if code}

"""The tests' topics and their partitions, as the broker lists them (Kafka 2.8 and later, which give topics an id)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.errors import FaultUnfit, UnknownName
from envctl.services.kafka.wire import array, check, string, varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.services.kafka.wire import Connection, Reader

_EARLIEST, _LATEST = -2, -1
_ANY_EPOCH = -1
_OWN = "__"
"""What Kafka's own topics and envctl's begin with."""


@dataclass(frozen=True, slots=True)
class Led:
    """Who leads a partition: a broker's number, -1 for nobody; how often that was settled anew; who has copies."""

    leader: int
    epoch: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's id, which no later topic of the same name has, and its partitions by their numbers."""

    id: str
    partitions: Mapping[int, Led]


def topics(connection: Connection) -> dict[str, Topic]:
    """Every topic there is, Kafka's own too."""
    every_topic, create_none, no_tags = varint(0), b"\0\0", b"\0"
    response = connection.call(3, 12, every_topic + create_none + no_tags, flexible=True)
    number, text = response.number, response.compact_string
    number("i")
    response.compact_array(lambda: (number("i"), text(), number("i"), text()))
    text()
    number("i")

    def partition() -> tuple[int, Led]:
        number("h")
        index, leader, epoch = number("i"), number("i"), number("i")
        replicas, in_sync, _ = (_numbers(response) for _ in range(3))
        return index, Led(leader, epoch, replicas, in_sync)

    def topic() -> tuple[str, Topic]:
        number("h")
        name, identity = text(), response.take(16).hex()
        number("b")
        found = dict(sorted(response.compact_array(partition)))
        number("i")
        return name, Topic(identity, found)

    return dict(sorted(response.compact_array(topic)))


def _numbers(response: Reader) -> tuple[int, ...]:
    return tuple(response.number("i") for _ in range(response.compact_length()))


def of_tests(connection: Connection) -> dict[str, Topic]:
    """The tests' topics: none of Kafka's own, and not envctl's."""
    return {name: topic for name, topic in topics(connection).items() if not name.startswith(_OWN)}


def chosen(connection: Connection, wanted: str) -> dict[str, Topic]:
    """The topics of these names, with commas between them; all of the tests' without any.

    Raises:
        UnknownName: there is none of that name; with the nearest.
        FaultUnfit: there is none at all.

    """
    there = of_tests(connection)
    if not there:
        raise FaultUnfit("a topic of the tests", "there is none", "make one first, or load a dataset (`envctl seed`)")
    names = [name.strip() for name in wanted.split(",")] if wanted else list(there)
    for name in names:
        if name not in there:
            raise UnknownName("topic", name, there)
    return {name: there[name] for name in names}


def one(connection: Connection, wanted: str) -> tuple[str, Topic]:
    """The topic of this name, or the only one.

    Raises:
        UnknownName: there is none of that name; with the nearest.
        FaultUnfit: there is none at all, or nothing says which one.

    """
    found = chosen(connection, wanted)
    if len(found) > 1:
        raise FaultUnfit("one topic", f"there: {', '.join(found)}", "name it with --topic")
    return next(iter(found.items()))


def partitions_of(name: str, topic: Topic, wanted: int | str) -> list[int]:
    """The partition of this number, or all where it is empty.

    Raises:
        FaultUnfit: there is none of that number.

    """
    if wanted == "":
        return list(topic.partitions)
    if wanted not in topic.partitions:
        last = len(topic.partitions) - 1
        raise FaultUnfit(f"partition {wanted} of topic {name!r}", f"it has 0 to {last}", "name one of them")
    return [int(wanted)]


def first_and_end(connection: Connection, name: str, numbers: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Where each partition begins, and where its next record will be.

    Raises:
        Failed: there is no such partition, or this broker does not lead it.

    """
    asked = dict.fromkeys(numbers, _ANY_EPOCH)
    first, end = (_offsets(connection, name, asked, at) for at in (_EARLIEST, _LATEST))
    return {number: (first[number], end[number]) for number in asked}


def require_led(connection: Connection, name: str, number: int, epoch: int) -> None:
    """See that the broker leads a partition, by this epoch and no other.

    Raises:
        Failed: it does not.

    """
    _offsets(connection, name, {number: epoch}, _LATEST)


def _offsets(connection: Connection, name: str, epochs: Mapping[int, int], at: int) -> dict[int, int]:
    asked = array(struct.pack(">iiq", number, epoch, at) for number, epoch in epochs.items())
    uncommitted_too = b"\0"
    response = connection.call(2, 4, struct.pack(">i", -1) + uncommitted_too + array([string(name) + asked]))
    response.number("i")
    found: dict[int, int] = {}

    def partition() -> None:
        number, code = response.number("i"), response.number("h")
        response.number("q")
        found[number] = response.number("q")
        response.number("i")
        check(f"offsets of {name}-{number}", code)

    response.array(lambda: (response.string(), response.array(partition)))
    return found

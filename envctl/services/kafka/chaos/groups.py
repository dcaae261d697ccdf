"""Consumer groups as their coordinator knows them: who is in them, and how far they have committed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.errors import FaultUnfit, UnknownName
from envctl.services.kafka.wire import NULL, UNKNOWN_MEMBER, array, check, string

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envctl.services.kafka.wire import Connection

OFFSETS_TOPIC = "__consumer_offsets"
"""Where Kafka keeps what groups commit; who leads a group's partition of it coordinates the group."""
_EVERYTHING = struct.pack(">i", -1)


@dataclass(frozen=True, slots=True)
class Member:
    """One consumer: the name that the coordinator gave it, its client's, and its own where it is a static member."""

    id: str
    client: str
    instance: str


@dataclass(frozen=True, slots=True)
class Group:
    """In Kafka's words Stable, Empty, PreparingRebalance …; and who is in it."""

    state: str
    members: tuple[Member, ...]


def names(connection: Connection) -> list[str]:
    """Every group that there is, sorted."""
    response = connection.call(16, 0, b"")
    check("list groups", response.number("h"))
    return sorted(name for name, _ in response.array(lambda: (response.string(), response.string())))


def chosen(connection: Connection, wanted: str) -> list[str]:
    """The group of this name, or all.

    Raises:
        UnknownName: there is none of that name; with the nearest.
        FaultUnfit: there is none at all.

    """
    there = names(connection)
    if not there:
        raise FaultUnfit("a consumer group", "there is none", "let a consumer with a group_id read or commit first")
    if wanted and wanted not in there:
        raise UnknownName("consumer group", wanted, there)
    return [wanted] if wanted else there


def describe(connection: Connection, wanted: Iterable[str]) -> dict[str, Group]:
    """These groups; one that is not there is Dead, without members."""
    response = connection.call(15, 4, array(map(string, wanted)) + b"\0")
    number, text = response.number, response.string
    number("i")

    def member() -> Member:
        identity, instance, client = text(), text(), text()
        text()
        response.bytes()
        response.bytes()
        return Member(identity, client, instance)

    def group() -> tuple[str, Group]:
        code, name, state = number("h"), text(), text()
        text()
        text()
        members = response.array(member)
        number("i")
        check(f"describe group {name}", code)
        return name, Group(state, tuple(members))

    return dict(response.array(group))


def evict(connection: Connection, group: str, members: Iterable[Member]) -> None:
    """Throw members out, as if they had left; those that are not in it are fine."""

    def one(member: Member) -> bytes:
        if member.instance:
            return string("") + string(member.instance)
        return string(member.id) + NULL

    response = connection.call(13, 3, string(group) + array(map(one, members)))
    number, text = response.number, response.string
    number("i")
    check(f"leave group {group}", number("h"))
    for code in response.array(lambda: (text(), text(), number("h"))[2]):
        if code != UNKNOWN_MEMBER:
            check(f"leave group {group}", code)


def committed(connection: Connection, group: str) -> dict[str, int]:
    """How far the group has committed, by topic and partition: `orders-0`.

    Raises:
        Failed: nobody coordinates it, or it is being loaded.

    """
    response = connection.call(9, 2, string(group) + _EVERYTHING)
    number, text = response.number, response.string
    found: dict[str, int] = {}

    def partition(topic: str) -> None:
        at, offset = number("i"), number("q")
        text()
        check(f"offsets of group {group}", number("h"))
        found[f"{topic}-{at}"] = offset

    for _ in range(number("i")):
        topic = text()
        for _ in range(number("i")):
            partition(topic)
    check(f"offsets of group {group}", number("h"))
    return dict(sorted(found.items()))


def require_coordinator(connection: Connection, group: str) -> None:
    """See that clients are told of a coordinator.

    Raises:
        Failed: they are not.

    """
    of_groups = b"\0"
    response = connection.call(10, 1, string(group) + of_groups)
    response.number("i")
    check(f"coordinator of group {group}", response.number("h"))


def partition_of(group: str, partitions: int) -> int:
    """Which partition of Kafka's topic of offsets holds a group: Java's hash of its name."""
    found = 0
    units = group.encode("utf-16-be")
    for (unit,) in struct.iter_unpack(">H", units):
        found = (found * 31 + unit) & 0xFFFFFFFF
    return (found & 0x7FFFFFFF) % partitions

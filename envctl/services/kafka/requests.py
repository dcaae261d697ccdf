"""The requests that readiness and provisioning make. Each takes a version that Kafka 2.7 to 4 understands."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from envctl.protocols import NotReady
from envctl.services.kafka.record import record_batch
from envctl.services.kafka.wire import (
    GROUP_REFUSED,
    NOT_KAFKA,
    NULL,
    TOPIC_EXISTS,
    TOPIC_REFUSED,
    array,
    check,
    data,
    string,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.services.kafka.wire import Connection, Reader


_ANY = 1
"""In filters: whatever it is."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who the brokers are, as this listener advertises them, and which of them controls (-1: none yet)."""

    brokers: tuple[str, ...]
    controller: int


def metadata(connection: Connection) -> Metadata:
    """The brokers' addresses (`host:port`) and the controller."""
    response = connection.call(3, 1, array(()))

    def broker() -> str:
        response.number("i")
        host, port = response.string(), response.number("i")
        response.string()
        return f"{host}:{port}"

    return Metadata(tuple(response.array(broker)), response.number("i"))


class Resource(IntEnum):
    """What an ACL protects."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5


class Operation(IntEnum):
    """What an ACL speaks about."""

    ALL = 2
    CREATE = 5
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10
    IDEMPOTENT_WRITE = 12


@dataclass(frozen=True, slots=True)
class Acl:
    """One line of Kafka's rights; `*` is every name, except for the cluster, which is named `kafka-cluster`."""

    resource: Resource
    name: str
    principal: str
    operation: Operation
    allow: bool = True

    def encode(self) -> bytes:
        """The creation, for a literal name and every host."""
        literal, allow, deny = 3, 3, 2
        return (
            struct.pack(">b", self.resource)
            + string(self.name)
            + struct.pack(">b", literal)
            + string(self.principal)
            + string("*")
            + struct.pack(">bb", self.operation, allow if self.allow else deny)
        )

    @property
    def line(self) -> AclLine:
        """As the broker lists it."""
        literal, allow, deny = 3, 3, 2
        permission = allow if self.allow else deny
        return AclLine(self.resource, self.name, literal, self.principal, "*", self.operation, permission)


class AclLine(NamedTuple):
    """One line of Kafka's rights as the broker lists it, its words as the protocol's numbers."""

    resource: int
    name: str
    pattern: int
    principal: str
    host: str
    operation: int
    permission: int


def create_acls(connection: Connection, acls: Sequence[Acl]) -> None:
    """Add lines; those that are there already stay as they are. All lines of one resource take force at once."""
    response = connection.call(30, 1, array(acl.encode() for acl in acls))
    response.number("i")
    for code, message in response.array(lambda: (response.number("h"), response.string())):
        check("create ACLs", code, message)


def describe_acls(connection: Connection, principal: str) -> list[AclLine]:
    """All lines that name a principal, sorted."""
    everything = struct.pack(">b", _ANY) + NULL + struct.pack(">b", _ANY) + string(principal) + NULL
    response = connection.call(29, 1, everything + struct.pack(">bb", _ANY, _ANY))
    response.number("i")
    check("describe ACLs", response.number("h"), response.string())
    number, text = partial(response.number, "b"), response.string
    found: list[AclLine] = []

    def resource() -> None:
        kind, name, pattern = number(), text(), number()
        found.extend(response.array(lambda: AclLine(kind, name, pattern, text(), text(), number(), number())))

    response.array(resource)
    return sorted(found)


def delete_acls(connection: Connection, lines: Sequence[AclLine]) -> None:
    """Remove exactly these lines; those that are not there are fine."""

    def exactly(line: AclLine) -> bytes:
        resource = struct.pack(">b", line.resource) + string(line.name) + struct.pack(">b", line.pattern)
        who = string(line.principal) + string(line.host)
        return resource + who + struct.pack(">bb", line.operation, line.permission)

    response = connection.call(31, 1, array(map(exactly, lines)))
    response.number("i")
    for _ in range(response.number("i")):
        check("delete ACLs", response.number("h"), response.string())
        for _ in range(response.number("i")):
            check("delete an ACL", response.number("h"), response.string())
            response.take(1)
            response.string()
            response.take(1)
            response.string()
            response.string()
            response.take(2)


def may_read(connection: Connection, topic: str) -> bool:
    """Whether this connection's principal may read a topic, be it there or not."""
    partition = struct.pack(">iq", 0, -1)
    response = connection.call(2, 1, struct.pack(">i", -1) + array([string(topic) + array([partition])]))
    _to_first_partition(response)
    return response.number("h") != TOPIC_REFUSED


def may_join(connection: Connection, group: str) -> bool:
    """Whether this connection's principal may see a consumer group, be it there or not."""
    response = connection.call(15, 0, array([string(group)]))
    if response.number("i") != 1:
        raise NotReady(NOT_KAFKA)
    return response.number("h") != GROUP_REFUSED


def create_topic(connection: Connection, topic: str, settings: Mapping[str, str]) -> None:
    """Create a topic of one partition, or find it there."""
    configs = array(string(key) + string(value) for key, value in settings.items())
    wanted = string(topic) + struct.pack(">ih", 1, 1) + array(()) + configs
    response = connection.call(19, 2, array([wanted]) + struct.pack(">ib", connection.timeout_ms, 0))
    response.number("i")
    for name, code, message in response.array(lambda: (response.string(), response.number("h"), response.string())):
        if code != TOPIC_EXISTS:
            check(f"create topic {name}", code, message)


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a record is, and the broker's time in ms when it was appended; -1 where the topic keeps the client's."""

    offset: int
    at_ms: int


def produce(connection: Connection, topic: str, value: bytes) -> Appended:
    """Append one record to partition 0, acknowledged by all replicas."""
    return append(connection, topic, 0, record_batch(value, int(time.time() * 1000)))


def append(connection: Connection, topic: str, partition: int, batch: bytes) -> Appended:
    """Append a batch to a partition, acknowledged by all replicas."""
    wanted = struct.pack(">i", partition) + data(batch)
    body = struct.pack(">hhi", -1, -1, connection.timeout_ms) + array([string(topic) + array([wanted])])
    response = connection.call(0, 3, body)
    _to_first_partition(response)
    check(f"produce to {topic}", response.number("h"))
    return Appended(response.number("q"), response.number("q"))


def fetch(connection: Connection, topic: str, offset: int) -> bytes:
    """The record batches of partition 0 from an offset on, as they lie in the log."""
    most = 1 << 20
    wanted = string(topic) + array([struct.pack(">iqi", 0, offset, most)])
    body = struct.pack(">iiiib", -1, connection.timeout_ms, 1, most, 0) + array([wanted])
    response = connection.call(1, 4, body)
    response.number("i")
    _to_first_partition(response)
    check(f"fetch from {topic}", response.number("h"))
    response.take(16)
    response.array(lambda: response.take(16))
    return response.bytes()


def _to_first_partition(response: Reader) -> None:
    """Read up to the answer about the one partition that was asked about."""
    if response.number("i") == 1:
        response.string()
        if response.number("i") == 1:
            response.number("i")
            return
    raise NotReady("the answer is not about the partition asked for")

"""What only the controller tells a broker, told by envctl: who leads a partition, and which brokers there are.

A broker believes whoever may act on the cluster and knows the controller's epoch, as the super user does. The requests
are those of Kafka 3 with ZooKeeper.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.kafka.wire import check, compact, compact_array, varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from envctl.services.kafka.chaos.zookeeper import ZooKeeperSession
    from envctl.services.kafka.wire import Connection

_ANY_RUN, _INCREMENTAL = -1, 1
_NO_TAGS = b"\0"
_PROTOCOLS = {"PLAINTEXT": 0, "SSL": 1, "SASL_PLAINTEXT": 2, "SASL_SSL": 3}


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker, and its addresses: port, host, the listener's name, the protocol's number."""

    id: int
    addresses: tuple[tuple[int, str, str, int], ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The controller's number and epoch, and the brokers that are there."""

    controller: int
    epoch: int
    brokers: tuple[Broker, ...]


@dataclass(frozen=True, slots=True)
class Lead:
    """Who leads a partition (a broker's number, -1 for nobody), by which epoch, and who has copies of it. `version` is
    that of ZooKeeper's record: a broker passes over what comes with an older one.
    """

    topic: str
    topic_id: str
    partition: int
    leader: int
    epoch: int
    replicas: Sequence[int]
    in_sync: Sequence[int]
    version: int = 0


def cluster(session: ZooKeeperSession) -> Cluster:
    """Who controls and who is there.

    Raises:
        NotReady: nobody controls in this moment.

    """
    controller, epoch = session.get("/controller"), session.get("/controller_epoch")
    if controller is None or epoch is None:
        raise NotReady("Kafka has no controller yet")
    brokers = tuple(_broker(session, int(name)) for name in session.children("/brokers/ids"))
    return Cluster(int(json.loads(controller.content)["brokerid"]), int(epoch.content), brokers)


def _broker(session: ZooKeeperSession, number: int) -> Broker:
    node = session.get(f"/brokers/ids/{number}")
    if node is None:
        raise NotReady(f"broker {number} went in this moment")
    told: dict[str, Any] = json.loads(node.content)
    found = []
    for endpoint in told["endpoints"]:
        name, _, address = endpoint.partition("://")
        host, _, port = address.rpartition(":")
        found.append((int(port), host, name, _PROTOCOLS[told["listener_security_protocol_map"][name]]))
    return Broker(number, tuple(found))


def lead(connection: Connection, known: Cluster, leads: Iterable[Lead]) -> None:
    """Have the broker lead these partitions, or follow who does: it must have been told of that one, by `tell`."""
    nobody_comes_or_goes, not_new = compact_array(()) * 2, b"\0"
    states = _by_topic(leads, lambda one: _state(known, one) + nobody_comes_or_goes + not_new + _NO_TAGS)
    head = struct.pack(">iiqb", known.controller, known.epoch, _ANY_RUN, _INCREMENTAL)
    response = connection.call(4, 5, head + states + compact_array(()) + _NO_TAGS, flexible=True)
    number = response.number
    check("have partitions led", number("h"))

    def topic() -> list[int]:
        response.take(16)
        return response.compact_array(lambda: (number("i"), number("h"))[1])

    for codes in response.compact_array(topic):
        for code in codes:
            check("have a partition led", code)


def tell(connection: Connection, known: Cluster, leads: Iterable[Lead] = ()) -> None:
    """Have the broker tell its clients of these brokers, and who leads these partitions."""
    nobody_offline = compact_array(())
    states = _by_topic(leads, lambda one: _state(known, one) + nobody_offline + _NO_TAGS)
    head = struct.pack(">iiq", known.controller, known.epoch, _ANY_RUN)
    brokers = compact_array(map(_encoded, known.brokers))
    response = connection.call(6, 7, head + states + brokers + _NO_TAGS, flexible=True)
    check("tell who leads", response.number("h"))


def stand_still(connection: Connection, known: Cluster, leads: Iterable[Lead]) -> None:
    """Have the broker stop asking others for these partitions' records; nothing of them is deleted."""
    keep = b"\0"
    states = _by_topic(leads, lambda one: struct.pack(">ii", one.partition, one.epoch) + keep + _NO_TAGS, with_id=False)
    head = struct.pack(">iiq", known.controller, known.epoch, _ANY_RUN)
    response = connection.call(5, 3, head + states + _NO_TAGS, flexible=True)
    number = response.number
    check("have partitions stand still", number("h"))
    for code in response.compact_array(lambda: (response.compact_string(), number("i"), number("h"))[2]):
        check("have a partition stand still", code)


def _by_topic(leads: Iterable[Lead], encode: Callable[[Lead], bytes], *, with_id: bool = True) -> bytes:
    topics = []
    for (name, identity), ones in groupby(leads, lambda one: (one.topic, one.topic_id)):
        head = compact(name.encode()) + (bytes.fromhex(identity) if with_id else b"")
        topics.append(head + compact_array(map(encode, ones)) + _NO_TAGS)
    return compact_array(topics)


def _state(known: Cluster, one: Lead) -> bytes:
    numbers = struct.pack(">iiii", one.partition, known.epoch, one.leader, one.epoch)
    return numbers + _numbers(one.in_sync) + struct.pack(">i", one.version) + _numbers(one.replicas)


def _encoded(broker: Broker) -> bytes:
    ends = (
        struct.pack(">i", port) + compact(host.encode()) + compact(name.encode()) + struct.pack(">h", kind) + _NO_TAGS
        for port, host, name, kind in broker.addresses
    )
    no_rack = varint(0)
    return struct.pack(">i", broker.id) + compact_array(ends) + no_rack + _NO_TAGS


def _numbers(numbers: Iterable[int]) -> bytes:
    return compact_array(struct.pack(">i", number) for number in numbers)

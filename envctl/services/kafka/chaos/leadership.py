"""Who leads the tests' partitions: looked at, taken away, and settled anew by Kafka's own controller.

Taking it away changes what the one broker knows, by requests such as the controller makes; ZooKeeper's record, which
the controller goes by, stays. So a broker that starts anew has forgotten all of it. Giving it back is an election: the
epoch in the record goes beyond the one that the broker was told, and a new controller tells everybody of the record.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from envctl.protocols import Lost, NotReady
from envctl.services.kafka import requests
from envctl.services.kafka.chaos import controlling, topics
from envctl.services.kafka.chaos.admin import TIMEOUT, admin
from envctl.services.kafka.chaos.controlling import Broker, Lead
from envctl.services.kafka.chaos.records import zookeeper

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envctl.services.kafka.chaos.topics import Topic
    from envctl.services.kafka.chaos.zookeeper import Node, ZooKeeperSession
    from envctl.services.kafka.wire import Connection
    from envctl.site import Site

JSON = dict[str, Any]

CLAIM = "controller"
"""Whoever settles one leadership anew settles all: one fault at a time may have to."""
NOBODY = -1
_STRANGER = 999_999
"""A broker that is none: nothing listens at its address."""
_NOWHERE = ("127.0.0.1", 1)


def look(name: str, topic: Topic, numbers: Iterable[int]) -> list[JSON]:
    """Who leads these partitions now, for a journal."""
    return [
        asdict(Lead(name, topic.id, number, led.leader, led.epoch, led.replicas, led.in_sync))
        for number, led in topic.partitions.items()
        if number in numbers
    ]


def take(site: Site, seen: list[JSON]) -> None:
    """Nobody leads these partitions any more: the broker becomes a follower of none."""
    with zookeeper(site, TIMEOUT) as session, admin(site) as connection:
        known = controlling.cluster(session)
        leads = [replace(one, leader=_STRANGER) for one in _next(session, seen)]
        host, port = _NOWHERE
        listeners = tuple((port, host, name, kind) for _, _, name, kind in known.brokers[0].addresses)
        # A broker follows only whom it has heard of.
        controlling.tell(connection, replace(known, brokers=(*known.brokers, Broker(_STRANGER, listeners))))
        controlling.lead(connection, known, leads)
        controlling.tell(connection, known, [replace(one, leader=NOBODY) for one in leads])
        controlling.stand_still(connection, known, leads)


def bereave_of_copies(site: Site, seen: list[JSON]) -> None:
    """These partitions are led as before, and have one more replica each, which is away."""
    with zookeeper(site, TIMEOUT) as session, admin(site) as connection:
        known = controlling.cluster(session)
        leads = _next(session, seen)
        controlling.lead(connection, known, [replace(one, replicas=[*one.replicas, _STRANGER]) for one in leads])
        # Whoever knows the old epoch only is sent away to learn the new one.
        controlling.tell(connection, known, leads)


def settle(site: Site, seen: list[JSON]) -> None:
    """Have all led as ZooKeeper's record says, where it is not so: the epochs are higher then, as after any election.

    Raises:
        Lost: the partitions' topics were deleted.

    """
    with zookeeper(site, TIMEOUT) as session, admin(site) as connection:
        there = _there(connection, seen)
        if not _differences(session, connection, there):
            return
        for one in there:
            _raise_epoch(session, one)
        session.delete("/controller")


def require_settled(site: Site, seen: list[JSON]) -> JSON:
    """See that ZooKeeper, the broker and what it tells its clients agree on who leads.

    Raises:
        NotReady: they do not; names the difference.
        Lost: the partitions' topics were deleted.

    """
    with zookeeper(site, TIMEOUT) as session, admin(site) as connection:
        there = _there(connection, seen)
        if different := _differences(session, connection, there):
            raise NotReady(different)
        known = topics.topics(connection)
        now = {(one.topic, one.partition): known[one.topic].partitions[one.partition] for one in there}
    return {
        "leaders": {f"{one.topic}-{one.partition}": now[one.topic, one.partition].leader for one in there},
        "elections": sum(now[one.topic, one.partition].epoch > one.epoch for one in there),
    }


def _next(session: ZooKeeperSession, seen: list[JSON]) -> list[Lead]:
    """The same by the next epoch, which the broker has not heard of."""
    return [replace(one, epoch=one.epoch + 1, version=_node(session, one).version) for one in _leads(seen)]


def _leads(seen: list[JSON]) -> list[Lead]:
    return [Lead(**one) for one in seen]


def _there(connection: Connection, seen: list[JSON]) -> list[Lead]:
    now = topics.topics(connection)
    there = [one for one in _leads(seen) if one.topic in now and now[one.topic].id == one.topic_id]
    if not there:
        raise Lost(f"{', '.join(sorted({one['topic'] for one in seen}))} was deleted meanwhile")
    return there


def _differences(session: ZooKeeperSession, connection: Connection, leads: Iterable[Lead]) -> str:
    """What is not as ZooKeeper's record says; empty where all is."""
    if session.get("/controller") is None:
        return "Kafka has no controller yet"
    if "{}:{}".format(*_NOWHERE) in requests.metadata(connection).brokers:
        return "clients are told of a broker that is none"
    now = topics.topics(connection)
    for one in leads:
        name, told = f"{one.topic}-{one.partition}", now[one.topic].partitions[one.partition]
        record = _record(session, one)
        if (told.leader, told.epoch) != (record["leader"], record["leader_epoch"]):
            return f"{name} is led by {told.leader} (epoch {told.epoch}), in ZooKeeper's record by {record['leader']}"
        try:
            topics.require_led(connection, one.topic, one.partition, told.epoch)
        except NotReady as reason:
            return str(reason)
    return ""


def _record(session: ZooKeeperSession, one: Lead) -> JSON:
    return dict(json.loads(_node(session, one).content))


def _node(session: ZooKeeperSession, one: Lead) -> Node:
    node = session.get(_path(one))
    if node is None:
        raise NotReady(f"ZooKeeper has no record of who leads {one.topic}-{one.partition}")
    return node


def _raise_epoch(session: ZooKeeperSession, one: Lead) -> None:
    """Have the record's epoch beyond the one that the broker was told, so that it believes what it is told next."""
    node, beyond = _node(session, one), one.epoch + 2
    record = json.loads(node.content)
    if record["leader_epoch"] < beyond:
        content = json.dumps({**record, "leader_epoch": beyond}, separators=(",", ":"))
        session.put(_path(one), content.encode(), node)


def _path(one: Lead) -> str:
    return f"/brokers/topics/{one.topic}/partitions/{one.partition}/state"

"""Kafka's part of `lose-leader`: the broker follows nobody, and tells its clients that nobody leads."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.kafka import requests
from envctl.services.kafka.chaos import leadership, topics
from envctl.services.kafka.chaos.admin import admin
from envctl.services.kafka.record import damaged_batch
from envctl.services.kafka.wire import NOT_LEADER, Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.services.kafka.wire import Connection
    from envctl.site import Site

JSON = dict[str, Any]


class LoseLeader:
    """`Way`."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """None that can be known without the broker."""
        del wanted
        return ()

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """One at a time."""
        del wanted
        return (leadership.CLAIM,)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """The partitions, who leads them, and what lies in them."""
        with admin(site) as connection:
            name, topic = topics.one(connection, wanted["topic"])
            numbers = topics.partitions_of(name, topic, wanted["partition"])
            ends = topics.first_and_end(connection, name, numbers)
        ends_by_text = {str(number): end for number, (_, end) in ends.items()}
        return {"topic": name, "leads": leadership.look(name, topic, numbers), "ends": ends_by_text}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Nobody leads them."""
        del wanted
        leadership.take(site, seen["leads"])

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Clients are told that nobody leads, and who asks all the same is sent away."""
        del wanted
        with admin(site) as connection:
            told = topics.topics(connection)[seen["topic"]].partitions
            for number in map(int, seen["ends"]):
                if told[number].leader != leadership.NOBODY:
                    raise NotReady(f"clients are told that {told[number].leader} leads {seen['topic']}-{number}")
                _require_refused(connection, seen["topic"], number)
        partitions = [f"{seen['topic']}-{number}" for number in seen["ends"]]
        return {"partitions": partitions, "told": "LEADER_NOT_AVAILABLE", "refused": "NOT_LEADER_OR_FOLLOWER"}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Have Kafka's controller settle it."""
        del wanted
        leadership.settle(site, seen["leads"])

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """They are led, and nothing of them is missing."""
        del wanted
        found = leadership.require_settled(site, seen["leads"])
        with admin(site) as connection:
            now = topics.first_and_end(connection, seen["topic"], map(int, seen["ends"]))
        if short := [number for number, end in seen["ends"].items() if now[int(number)][1] < end]:
            raise NotReady(f"partitions {', '.join(short)} of {seen['topic']} end before where they ended")
        return {**found, "records": "all there"}


def _require_refused(connection: Connection, topic: str, number: int) -> None:
    """Try it with a record that is taken in no case."""
    try:
        requests.append(connection, topic, number, damaged_batch())
    except Failed as error:
        if error.code == NOT_LEADER:
            return
        raise
    raise NotReady(f"{topic}-{number} took a record with a wrong checksum")

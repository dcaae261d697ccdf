"""Kafka's part of `lose-coordinator`: nobody leads the partitions in which groups commit."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.kafka.chaos import groups, leadership, topics
from envctl.services.kafka.chaos.admin import admin
from envctl.services.kafka.wire import NO_COORDINATOR, NOT_COORDINATOR, Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from envctl.services.kafka.wire import Connection
    from envctl.site import Site

JSON = dict[str, Any]


class LoseCoordinator:
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
        """Where the groups commit, who else commits there, and how far each has."""
        with admin(site) as connection:
            asked = groups.chosen(connection, wanted["group"])
            topic = topics.topics(connection)[groups.OFFSETS_TOPIC]
            place = {name: groups.partition_of(name, len(topic.partitions)) for name in groups.names(connection)}
            numbers = {place[name] for name in asked}
            offsets = {name: groups.committed(connection, name) for name in place if place[name] in numbers}
        return {"leads": leadership.look(groups.OFFSETS_TOPIC, topic, numbers), "offsets": offsets}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Nobody leads them."""
        del wanted
        leadership.take(site, seen["leads"])

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Clients are told of no coordinator, and who asks the broker all the same is sent away."""
        del wanted
        with admin(site) as connection:
            for name in seen["offsets"]:
                _require_refused(groups.require_coordinator, connection, name, NO_COORDINATOR)
                _require_refused(groups.committed, connection, name, NOT_COORDINATOR)
        return {"groups": [*seen["offsets"]], "told": "COORDINATOR_NOT_AVAILABLE", "refused": "NOT_COORDINATOR"}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Have Kafka's controller settle it; the coordinator then reads its log."""
        del wanted
        leadership.settle(site, seen["leads"])

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """The groups are coordinated, and no committed offset is gone."""
        del wanted
        found = leadership.require_settled(site, seen["leads"])
        with admin(site) as connection:
            for name in seen["offsets"]:
                groups.require_coordinator(connection, name)
            there = groups.names(connection)
            now = {name: groups.committed(connection, name) for name in seen["offsets"]}
        for name, before in seen["offsets"].items():
            if name in there and (gone := before.keys() - now[name].keys()):
                raise NotReady(f"{name} has no offset of {', '.join(sorted(gone))} any more")
        same = now == seen["offsets"]
        return {**found, "offsets": "equal" if same else "equal but for what was committed meanwhile"}


def _require_refused(
    ask: Callable[[Connection, str], object], connection: Connection, group: str, expected: int
) -> None:
    try:
        ask(connection, group)
    except Failed as error:
        if error.code == expected:
            return
        raise
    raise NotReady(f"group {group} is still coordinated")

"""Kafka's part of `truncate-log`: the oldest records are deleted, as retention deletes them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit
from envctl.protocols import Lost, NotReady
from envctl.services.kafka.chaos import deletion, topics
from envctl.services.kafka.chaos.admin import admin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]


class TruncateLog:
    """`Way`. Nothing brings the records back: healing only says what is gone."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """None that can be known without the broker."""
        del wanted
        return ()

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """One at a time."""
        del wanted
        return ("truncate-log",)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """Where each log begins and ends, and where it is to begin."""
        with admin(site) as connection:
            name, topic = topics.one(connection, wanted["topic"])
            numbers = topics.partitions_of(name, topic, wanted["partition"])
            deletion.require(connection, name)
            found = topics.first_and_end(connection, name, numbers)
        cut = {number: max(first, end - wanted["keep"]) for number, (first, end) in found.items()}
        if all(cut[number] == first for number, (first, _) in found.items()):
            most = max(end - first for first, end in found.values())
            raise FaultUnfit(
                f"partitions of {name} with more than {wanted['keep']} records",
                f"the longest has {most}",
                "write some first, or keep fewer",
            )
        return {
            "topic": name,
            "id": topic.id,
            "first": {str(number): first for number, (first, _) in found.items()},
            "cut": {str(number): offset for number, offset in cut.items()},
        }

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Delete what is before."""
        del wanted
        with admin(site) as connection:
            deletion.delete_before(connection, seen["topic"], {int(at): cut for at, cut in seen["cut"].items()})

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """The logs begin there."""
        del wanted
        with admin(site) as connection:
            now = topics.first_and_end(connection, seen["topic"], map(int, seen["cut"]))
        for number, cut in seen["cut"].items():
            if now[int(number)][0] < cut:
                raise NotReady(f"{seen['topic']}-{number} still begins at {now[int(number)][0]}")
        return _gone(seen, {number: seen["cut"][number] for number in seen["cut"]})

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """What is deleted is deleted."""

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """What is gone for good; the partitions are served."""
        del wanted
        with admin(site) as connection:
            there = topics.topics(connection).get(seen["topic"])
            if there is None or there.id != seen["id"]:
                raise Lost(f"{seen['topic']} was deleted meanwhile")
            now = topics.first_and_end(connection, seen["topic"], map(int, seen["cut"]))
        return _gone(seen, {number: min(cut, now[int(number)][0]) for number, cut in seen["cut"].items()})


def _gone(seen: JSON, begins: Mapping[str, int]) -> JSON:
    """Which offsets are no more there, and how many."""
    gone = {number: (first, begins[number]) for number, first in seen["first"].items() if begins[number] > first}
    return {
        "gone_for_good": sum(now - first for first, now in gone.values()),
        "offsets": {f"{seen['topic']}-{number}": f"{first} to {now - 1}" for number, (first, now) in gone.items()},
    }

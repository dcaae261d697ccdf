"""Kafka's part of `rebalance`: every member is thrown out of its group, and comes back."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit
from envctl.protocols import NotReady
from envctl.services.kafka.chaos import groups
from envctl.services.kafka.chaos.admin import admin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]

_LEAST = 0.1


class Rebalance:
    """`Way`. It takes nobody's place: nothing is left of it in the group."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """Too often for anybody to come back."""
        if 0 < wanted["every"] < _LEAST:
            yield f"--every: wanted 0 (once), or {_LEAST * 1000:g}ms and more, found {wanted['every']:g} s"

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """One at a time."""
        del wanted
        return ("rebalance",)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """The groups that have members, and how far each has committed."""
        with admin(site) as connection:
            found = groups.describe(connection, groups.chosen(connection, wanted["group"]))
            inhabited = {name: group.members for name, group in found.items() if group.members}
            if not inhabited:
                raise FaultUnfit(
                    f"consumers in {wanted['group'] or 'any group'}",
                    "nobody is in it" if wanted["group"] else f"all are empty: {', '.join(found)}",
                    "let a consumer subscribe and poll first",
                )
            return {
                "members": {name: [member.id for member in members] for name, members in inhabited.items()},
                "offsets": {name: groups.committed(connection, name) for name in inhabited},
            }

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Throw out who is in them now."""
        del wanted
        with admin(site) as connection:
            for name, group in groups.describe(connection, seen["members"]).items():
                groups.evict(connection, name, group.members)

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Nobody is in them any more as who he was: whoever is, has joined anew."""
        del wanted
        with admin(site) as connection:
            now = groups.describe(connection, seen["members"])
        for name, group in now.items():
            if left := {member.id for member in group.members} & set(seen["members"][name]):
                raise NotReady(f"{len(left)} members of {name} are still in it as before")
        return {"thrown out": {name: len(members) for name, members in seen["members"].items()}}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Members come back by themselves, when they next poll."""

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """No committed offset is gone; who is back by now."""
        del wanted
        with admin(site) as connection:
            now = groups.describe(connection, seen["members"])
            offsets = {name: groups.committed(connection, name) for name in seen["offsets"]}
        for name, before in seen["offsets"].items():
            if gone := before.keys() - offsets[name].keys():
                raise NotReady(f"{name} has no offset of {', '.join(sorted(gone))} any more")
        return {
            "offsets": "equal" if offsets == seen["offsets"] else "equal but for what was committed meanwhile",
            "groups": {name: f"{group.state}, {len(group.members)} members" for name, group in now.items()},
        }

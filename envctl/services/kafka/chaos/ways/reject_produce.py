"""Kafka's part of `reject-produce`: a setting of the topic under which no record can be taken."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import Lost, NotReady
from envctl.services.kafka import requests
from envctl.services.kafka.chaos import leadership, settings, topics
from envctl.services.kafka.chaos.admin import admin
from envctl.services.kafka.record import damaged_batch
from envctl.services.kafka.wire import CORRUPT, Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.services.kafka.wire import Connection
    from envctl.site import Site

JSON = dict[str, Any]

TOO_LARGE, NOT_ENOUGH = "record-too-large", "not-enough-replicas"
_SETTINGS = {TOO_LARGE: "max.message.bytes", NOT_ENOUGH: "min.insync.replicas"}
_MORE_THAN_THERE_ARE = 2
"""Replicas in sync; envctl's broker is alone. Kafka asks for no more than a topic has, so each gets a second one."""


class RejectProduce:
    """`Way`. Whether a topic takes records is tried with one whose checksum is wrong: the broker looks at that after
    all else, so that nothing is ever written.
    """

    words: Mapping[str, Mapping[str, str]] = MappingProxyType(
        {
            "reason": {
                TOO_LARGE: "batches larger than --limit are refused for good: MESSAGE_TOO_LARGE",
                NOT_ENOUGH: "who waits for all replicas is told to try again: NOT_ENOUGH_REPLICAS",
            }
        }
    )

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """A limit on what has none."""
        if wanted["limit"] and _reason(wanted) != TOO_LARGE:
            yield f"--limit: wanted none with --reason {NOT_ENOUGH}, found {wanted['limit']}"
        if wanted["limit"] >= 1 << 31:
            yield f"--limit: wanted less than 2 GiB, found {wanted['limit']}"

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """One at a time: who produces cannot have two reasons to be refused."""
        return ("reject-produce",) if _reason(wanted) == TOO_LARGE else ("reject-produce", leadership.CLAIM)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """The topics, and what each has of its own now."""
        setting = _SETTINGS[_reason(wanted)]
        with admin(site) as connection:
            found = topics.chosen(connection, wanted["topic"])
            now = settings.read(connection, found, setting)
        before = {name: value if own else None for name, (value, own) in now.items()}
        value = wanted["limit"] if _reason(wanted) == TOO_LARGE else _MORE_THAN_THERE_ARE
        ids = {name: found[name].id for name in before}
        few = _reason(wanted) == NOT_ENOUGH
        leads = [led for name in before if few for led in leadership.look(name, found[name], found[name].partitions)]
        return {"setting": setting, "value": str(value), "before": before, "ids": ids, "leads": leads}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Set it, on all of them at once."""
        del wanted
        with admin(site) as connection:
            settings.write(connection, seen["setting"], dict.fromkeys(seen["before"], seen["value"]))
        if seen["leads"]:
            leadership.bereave_of_copies(site, seen["leads"])

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Each refuses a record."""
        with admin(site) as connection:
            said = {name: _tried(connection, name, wanted["limit"]) for name in seen["before"]}
        if takes := [name for name, words in said.items() if not words]:
            raise NotReady(f"{', '.join(takes)} still take records")
        return {"refused": said}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Give each its own value back, or none, as it was; what somebody else set meanwhile stays."""
        del wanted
        with admin(site) as connection:
            there = _there(connection, seen)
            now = settings.read(connection, there, seen["setting"])
            ours = [name for name in now if now[name] == (seen["value"], True)]
            settings.write(connection, seen["setting"], {name: seen["before"][name] for name in ours})
        if seen["leads"]:
            leadership.settle(site, seen["leads"])

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """The settings are as before, and records are taken that were taken before."""
        del wanted
        found: JSON = {"settings": "equal", "topics": len(seen["before"])}
        with admin(site) as connection:
            there = _there(connection, seen)
            now = settings.read(connection, there, seen["setting"])
            own = {name: value if own else None for name, (value, own) in now.items()}
            if left := [name for name in own if own[name] == seen["value"] != seen["before"][name]]:
                raise NotReady(f"{seen['setting']} of {', '.join(left)} is still {seen['value']}")
            same = [name for name in own if own[name] == seen["before"][name]]
            if refusing := [name for name in same if own[name] is None and _tried(connection, name, 0)]:
                raise NotReady(f"{', '.join(refusing)} still refuse records")
        if seen["leads"]:
            found |= leadership.require_settled(site, seen["leads"])
        if changed := [name for name in own if name not in same]:
            found["changed_meanwhile"] = changed
        if gone := [name for name in seen["before"] if name not in there]:
            found["gone"] = gone
        return found


def _reason(wanted: Mapping[str, Any]) -> str:
    return str(wanted["reason"] or TOO_LARGE)


def _there(connection: Connection, seen: JSON) -> list[str]:
    """Those of the topics that are there: one that was made anew under the name of another has nothing to give back.

    Raises:
        Lost: none is.

    """
    now = topics.topics(connection)
    there = [name for name, identity in seen["ids"].items() if name in now and now[name].id == identity]
    if not there:
        raise Lost("its topics were deleted meanwhile")
    return there


def _tried(connection: Connection, name: str, limit: int) -> str:
    """How the first partition refuses a record larger than `limit`; empty where it would take one."""
    try:
        requests.append(connection, name, 0, damaged_batch(limit + 1))
    except Failed as error:
        return "" if error.code == CORRUPT else error.word
    raise NotReady(f"{name} took a record with a wrong checksum")

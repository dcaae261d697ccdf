"""Kafka's part of `poison-record`: one record that consumers choke on."""

from __future__ import annotations

import secrets
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import Lost, NotReady
from envctl.services.kafka import requests
from envctl.services.kafka.chaos import deletion, logs, topics
from envctl.services.kafka.chaos.admin import admin
from envctl.services.kafka.record import record_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.services.kafka.wire import Connection
    from envctl.site import Site

JSON = dict[str, Any]

GARBAGE, NULL, EMPTY, CUT_JSON, LARGE_HEADER = "garbage", "null", "empty", "cut-json", "large-header"
# No UTF-8, no JSON, none of Avro's and protobuf's ways to begin a message.
_VALUES: Mapping[str, bytes | None] = MappingProxyType(
    {
        GARBAGE: b"\xff\xfe\xfd\x80\x00\xc3\x28" * 8,
        NULL: None,
        EMPTY: b"",
        CUT_JSON: b'{"id": 4711, "name": "poi',
        LARGE_HEADER: b'{"id": 4711, "name": "poison"}',
    }
)
_LARGE = 64 << 10


class PoisonRecord:
    """`Way`. The record's key tells it from all others."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType(
        {
            "kind": {
                GARBAGE: "bytes that are no text and no message of any common format",
                NULL: "no value at all, as a deletion in a compacted topic",
                EMPTY: "a value of no bytes",
                CUT_JSON: "JSON that ends in the middle of a word",
                LARGE_HEADER: "good JSON, with a header of 64 KiB",
            }
        }
    )

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """None that can be known without the broker."""
        del wanted
        return ()

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """Nothing: any number of records can be poison."""
        del wanted
        return ()

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """Which partition, and where it ends now."""
        with admin(site) as connection:
            name, topic = topics.one(connection, wanted["topic"])
            numbers = topics.partitions_of(name, topic, wanted["partition"])
            number = numbers[0] if len(numbers) == 1 else site.dice.choose("partition", numbers)
            _, end = topics.first_and_end(connection, name, [number])[number]
        key = f"envctl-poison-{secrets.token_hex(6)}"
        return {"topic": name, "id": topic.id, "partition": number, "end": end, "key": key}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Write it."""
        kind = wanted["kind"] or GARBAGE
        headers = {"x-poison": b"x" * _LARGE} if kind == LARGE_HEADER else {}
        batch = record_batch(_VALUES[kind], int(time.time() * 1000), seen["key"].encode(), headers)
        with admin(site) as connection:
            appended = requests.append(connection, seen["topic"], seen["partition"], batch)
        site.kept[seen["key"]] = appended.offset

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Where it lies, which the broker said when it took it."""
        return {**_place(seen, site.kept[seen["key"]]), "kind": wanted["kind"] or GARBAGE, "key": seen["key"]}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Delete it where nothing precedes it; Kafka takes no record out of the middle of a log."""
        del wanted
        with admin(site) as connection:
            offset, removable = _found(connection, seen)
            if removable and offset is not None:
                deletion.delete_before(connection, seen["topic"], {seen["partition"]: offset + 1})

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Whether it is gone; where it still is, consumers must get past it by themselves."""
        del wanted
        with admin(site) as connection:
            offset, removable = _found(connection, seen)
        if removable:
            raise NotReady(f"it is still the first record of {seen['topic']}-{seen['partition']}")
        if offset is None:
            return {"record": "gone, or not to be found"}
        return {"record": "stays: consumers must skip it", **_place(seen, offset)}


def _place(seen: JSON, offset: int) -> JSON:
    return {"topic": seen["topic"], "partition": seen["partition"], "offset": offset}


def _found(connection: Connection, seen: JSON) -> tuple[int | None, bool]:
    """Its offset, and whether it can be removed, since it is the first that is left. No offset where it is not there,
    or cannot be seen because the broker compresses what it stores.

    Raises:
        Lost: the topic was deleted.

    """
    name, number = seen["topic"], seen["partition"]
    there = topics.topics(connection).get(name)
    if there is None or there.id != seen["id"]:
        raise Lost(f"{name} was deleted meanwhile")
    first, _ = topics.first_and_end(connection, name, [number])[number]
    offset = logs.find(connection, (name, number), seen["key"].encode(), max(seen["end"], first))
    return offset, offset == first and deletion.deletes(connection, name)

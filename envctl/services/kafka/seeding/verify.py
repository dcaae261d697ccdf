"""What is in the topics, read back: digests, and the first difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.errors import SeedFailed
from envctl.services.kafka.seeding import admin, log, records
from envctl.services.kafka.seeding.topics import plain, settled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from envctl.seeding.loading import Job
    from envctl.seeding.spec import Topic
    from envctl.seeding.world import World
    from envctl.services.kafka.seeding.batches import Batch
    from envctl.services.kafka.seeding.client import Session
    from envctl.services.kafka.seeding.log import Record, Stored

    JSON = dict[str, Any]

_SHOWN = 80
"""Characters of a value in a message."""


def section(settings: Mapping[str, str], starts: Sequence[int], ends: Sequence[int], digests: Sequence[int]) -> JSON:
    """A topic's section of the manifest."""
    return {
        "rows": sum(ends) - sum(starts),
        "config": plain(settings),
        "partitions": [
            {"start": start, "end": end, "crc": f"{crc:08x}"}
            for start, end, crc in zip(starts, ends, digests, strict=True)
        ],
    }


def measured(at: Session, job: Job, topic: Topic) -> JSON:
    """A topic's section, from what is in its log now."""
    found = settled(lambda: admin.look(at, [topic.name]), f"topic {topic.name} looked at").get(topic.name)
    if found is None:
        return {"rows": 0, "config": {}, "partitions": []}
    digests = []
    for partition, (start, end) in enumerate(zip(found.starts, found.ends, strict=True)):
        crc = 0
        for batch in log.stored(at, topic.name, partition, start, end):
            job.go_on()
            crc = batch.digest(crc) if batch.sound else ~crc & 0xFFFFFFFF
        digests.append(crc)
    return section(found.settings, found.starts, found.ends, digests)


def difference(at: Session, job: Job, topics: Mapping[str, Topic], recorded: JSON, now: JSON) -> str:
    """The first difference between two manifests' sections, as exact as the dataset can tell."""
    for name, was in recorded.items():
        found = now.get(name, {"config": {}, "partitions": []})
        if found == was:
            continue
        if not found["partitions"]:
            return f"topic {name} is gone"
        if found["config"] != was["config"]:
            return f"topic {name} has settings {_settings(found)}; loaded with {_settings(was)}"
        if len(found["partitions"]) != len(was["partitions"]):
            return f"topic {name} has {len(found['partitions'])} partitions; loaded with {len(was['partitions'])}"
        for number, (part, before) in enumerate(zip(found["partitions"], was["partitions"], strict=True)):
            if part != before:
                return f"topic {name}, partition {number}" + _in_partition(at, job, topics[name], number, part, before)
    return ""


def _settings(part: JSON) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(part["config"].items())) or "none"


def _in_partition(at: Session, job: Job, topic: Topic, number: int, now: JSON, was: JSON) -> str:
    if now["start"] != was["start"]:
        return f" begins at offset {now['start']}; loaded from {was['start']} on: records were removed"
    there = log.stored(at, topic.name, number, now["start"], now["end"])
    for batch in _planned(job.world, topic, number):
        job.go_on()
        if batch.first >= now["end"]:
            break
        if told := _in_batch(log.planned(batch), next(there, None)):
            return told
    if now["end"] != was["end"]:
        return f" ends at offset {now['end']}; loaded up to {was['end']}"
    return " has another digest than was recorded, though each record is as the dataset says"


def _planned(world: World, topic: Topic, number: int) -> Iterator[Batch]:
    """The batches of one partition as they were loaded."""
    for batches in records.batches(world, topic):
        yield from (batch for batch in batches if batch.partition == number)


def _in_batch(wanted: Stored, found: Stored | None) -> str:
    """The first record that differs, and how; empty if none does."""
    if found is None:
        return f", offset {wanted.first}: nothing is there"
    if not found.sound:
        return f", offset {found.first}: the batch does not fit its own checksum"
    if found.digest(0) == wanted.digest(0):
        return ""
    there = {record.offset: record for record in log.records(found)}
    for record in log.records(wanted):
        if told := _in_record(record, there.get(record.offset)):
            return f", offset {record.offset}: {told}"
    return f", offset {wanted.first}: the batch was made otherwise"


def _in_record(wanted: Record, found: Record | None) -> str:
    if found is None:
        return "nothing is there"
    for part in ("key", "value", "headers", "timestamp"):
        now, was = getattr(found, part), getattr(wanted, part)
        if now != was:
            return f"{part} is {_shown(now)}; loaded as {_shown(was)}"
    return ""


def _shown(value: object) -> str:
    text = repr(value.decode(errors="replace") if isinstance(value, bytes) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def checked(job: Job, measured_now: JSON) -> JSON:
    """What was measured directly after a load, which must be what was sent.

    Raises:
        SeedFailed: it is not.

    """
    sent: JSON = job.notes.get("topics", {})
    if job.notes.get("state") == "loading":
        for name, found in measured_now.items():
            if name in sent and found["partitions"] != sent[name]["partitions"]:
                raise SeedFailed(
                    f"topic {name} to hold what was sent", "its log has another digest", "seed again with --force"
                )
    return measured_now

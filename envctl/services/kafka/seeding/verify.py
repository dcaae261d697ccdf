"""What is in the topics, read back: digests, and the first difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.errors import SeedFailed
from envctl.services.kafka.seeding import admin, log, records
from envctl.services.kafka.seeding.cleaned import standing
from envctl.services.kafka.seeding.topics import plain, settled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from envctl.seeding.loading import Job
    from envctl.seeding.spec import Topic
    from envctl.seeding.world import World
    from envctl.services.kafka.seeding.batches import Batch
    from envctl.services.kafka.seeding.client import Session
    from envctl.services.kafka.seeding.log import Stored

    JSON = dict[str, Any]


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
    digests = [
        _digest(at, job, topic, number, start, end)
        for number, (start, end) in enumerate(zip(found.starts, found.ends, strict=True))
    ]
    return section(found.settings, found.starts, found.ends, digests)


def _digest(at: Session, job: Job, topic: Topic, number: int, start: int, end: int) -> int:
    """The digest of one partition; of one that the log cleaner has been to, what it stands for."""
    crc, offset, cleaned = 0, start, False
    for batch in log.stored(at, topic.name, number, start, end):
        job.go_on()
        cleaned |= batch.first != offset or batch.count != batch.end - batch.first
        offset = batch.end
        crc = batch.digest(crc) if batch.sound else ~crc & 0xFFFFFFFF
    if cleaned and records.compacted(topic):
        whole, told = standing(planned(job.world, topic, number), log.stored(at, topic.name, number, start, end))
        return crc if told else whole
    return crc


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
    wanted = planned(job.world, topic, number)
    told = standing(wanted, there)[1] if records.compacted(topic) else _first(job, wanted, there, now["end"])
    if told:
        return told
    if now["end"] != was["end"]:
        return f" ends at offset {now['end']}; loaded up to {was['end']}"
    return " has another digest than was recorded, though each record is as the dataset says"


def planned(world: World, topic: Topic, number: int) -> Iterator[Batch]:
    """The batches of one partition as they were loaded."""
    for batches in records.batches(world, topic):
        yield from (batch for batch in batches if batch.partition == number)


def _first(job: Job, wanted: Iterator[Batch], there: Iterator[Stored], end: int) -> str:
    """The first record before `end` that differs."""
    for batch in wanted:
        job.go_on()
        if batch.first >= end:
            break
        if told := _in_batch(log.planned(batch), next(there, None)):
            return told
    return ""


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
        if told := log.difference(record, there.get(record.offset)):
            return f", offset {record.offset}: {told}"
    return f", offset {wanted.first}: the batch was made otherwise"


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

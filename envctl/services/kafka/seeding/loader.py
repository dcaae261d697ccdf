"""One dataset's topics: filled exactly once, also across kills of either side, and read back.

Batches are a function of the dataset alone, and each record has its offset from the beginning. So the end offsets tell
what is there, wherever an earlier run was killed; what is under way of it, unknown to us, is a batch that we send
again with the same producer's number and sequence, which the broker takes once. Every acknowledged batch must have
landed at its offset, and the ends must be as planned: anything else is somebody else's record, and the topic is ours,
so it is made anew.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from envctl.errors import SeedConflict, SeedFailed
from envctl.protocols import NotReady
from envctl.seeding.loading import Size
from envctl.services.kafka.seeding import admin, records, topics, verify
from envctl.services.kafka.seeding.ahead import ahead
from envctl.services.kafka.seeding.batches import Producer
from envctl.services.kafka.seeding.client import Appender, Lost, Refused, new_producer, offsets, session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from envctl.model import Endpoint
    from envctl.seeding.loading import Job
    from envctl.seeding.spec import Topic
    from envctl.services.kafka.seeding.admin import Found
    from envctl.services.kafka.seeding.batches import Batch
    from envctl.services.kafka.seeding.client import Session

    JSON = dict[str, Any]

_REQUEST = 1 << 20
"""Bytes of batches in one request, about."""

_ATTEMPTS = 4
_TOO_LARGE = frozenset({10, 18})
_NOT_LOGGED_IN = 58


class KafkaLoader:
    """Loads a dataset's topics; see `envctl.seeding.loading.Loader`."""

    def __init__(self, at: Endpoint, job: Job) -> None:
        self.at, self.job = at, job
        self.topics = {name: topics.effective(topic) for name, topic in job.dataset.topics.items()}

    def size(self) -> Size:
        """Rows as they will be; bytes of generated records from a sample."""
        return sum((records.size(self.job.world, topic) for topic in self.topics.values()), Size(0, 0))

    def footprint(self) -> JSON:
        """The topics' names."""
        return {"topics": list(self.topics)}

    def conflicts(self) -> list[str]:
        """Topics that are there with records or settings of somebody else's."""
        with self._connected() as at:
            found = topics.settled(lambda: admin.look(at, self.topics), "topics looked at")
        return [reason for name, topic in found.items() if (reason := topics.conflict(self.topics[name], topic))]

    def load(self) -> None:
        """Make the topics that are missing and append what is missing."""
        if not self.topics:
            return
        with self._connected() as at:
            self._make_topics(at)
            found = topics.settled(lambda: admin.look(at, self.topics), "topics looked at")
        for name, topic in self.topics.items():
            section: JSON = self.job.notes.get("topics", {}).get(name)
            if section and _whole(section, found.get(name)):
                self.job.progress(section["rows"], section["bytes"])
            else:
                self._fill(topic)

    def present(self) -> bool:
        """Whether every partition begins and ends where the load left it."""
        planned: JSON = self.job.notes.get("topics", {})
        if planned.keys() != self.topics.keys():
            return False
        with self._connected() as at:
            found = topics.settled(lambda: admin.look(at, self.topics), "topics looked at")
        return all(_whole(section, found.get(name)) for name, section in planned.items())

    def measure(self) -> JSON:
        """By topic: rows, settings, and of each partition start, end and the digest of what is between."""
        with self._connected() as at:
            found = {name: verify.measured(at, self.job, topic) for name, topic in self.topics.items()}
        return verify.checked(self.job, found)

    def difference(self, recorded: JSON, measured: JSON) -> str:
        """Topic, partition, offset, and which part of the record differs."""
        with self._connected() as at:
            return verify.difference(at, self.job, self.topics, recorded, measured)

    def _make_topics(self, at: Session) -> None:
        found = topics.settled(lambda: admin.look(at, self.topics), "topics looked at")
        if self.job.notes.get("producer") is None:
            # Nothing of ours can be there yet.
            if reasons := [r for n, there in found.items() if (r := topics.conflict(self.topics[n], there))]:
                raise SeedConflict(self._wanted(), "; ".join(reasons), "remove them, or take another environment")
            self._renew_producer(at)
        missing = [topic for name, topic in self.topics.items() if name not in found]
        unfit = [self.topics[name] for name, there in found.items() if not topics.fits(self.topics[name], there)]
        topics.check(at, missing)
        topics.remove(at, [topic.name for topic in unfit])
        topics.make(at, [*missing, *unfit])

    def _fill(self, topic: Topic) -> None:
        """Append what a topic lacks; begin anew where it holds what is not ours."""
        reason: Exception = Lost("")
        for _ in range(_ATTEMPTS):
            with self._connected() as at:
                try:
                    return self._append(at, topic)
                except _Spoiled as error:
                    reason = error
                except Lost as error:
                    reason = error
            with self._connected() as at:
                self._renew_producer(at)
                if isinstance(reason, _Spoiled):
                    topics.remove(at, [topic.name])
                    topics.make(at, [topic])
        raise SeedConflict(
            f"topic {topic.name} with the dataset's records alone", str(reason), "stop what writes into it, seed again"
        )

    def _append(self, at: Session, topic: Topic) -> None:
        """One pass over a topic's batches: those that are there are passed over, the others appended."""
        counts = {topic.name: topic.partitions}
        there = topics.settled(lambda: offsets(at, counts)[topic.name], f"ends of {topic.name}")
        if any(offsets(at, counts, earliest=True)[topic.name]):
            raise _Spoiled(f"records were removed from {topic.name}")
        ends, digests, size = [0] * topic.partitions, [0] * topic.partitions, 0
        appender = Appender(at, topic.name, self._producer(), self._landed)
        with closing(ahead(records.batches(self.job.world, topic))) as made:
            for batches in made:
                self.job.go_on()
                for batch in batches:
                    ends[batch.partition] = batch.end
                    digests[batch.partition] = batch.digest(digests[batch.partition])
                    size += batch.size
                for request in requests(self._missing(topic, batches, there)):
                    appender.append(request)
        appender.finish()
        found = offsets(at, counts)[topic.name]
        if found != ends:
            raise _Spoiled(f"{topic.name} ends at {found} and not at {ends}")
        section = verify.section(topic.config, [0] * topic.partitions, ends, digests)
        known = self.job.notes.get("topics", {})
        self.job.notes.set(topics={**known, topic.name: {**section, "bytes": size}})

    def _missing(self, topic: Topic, batches: Iterable[Batch], there: list[int]) -> Iterator[Batch]:
        for batch in batches:
            end = there[batch.partition]
            if batch.end <= end:
                self._landed(batch)
            elif batch.first >= end:
                yield batch
            else:
                raise _Spoiled(f"{topic.name}, partition {batch.partition} ends at {end}, inside of a batch")

    def _landed(self, batch: Batch) -> None:
        self.job.progress(batch.count, batch.size)

    def _producer(self) -> Producer:
        return Producer(*self.job.notes.get("producer"))

    def _renew_producer(self, at: Session) -> None:
        """Take a producer's number, noted before anything is sent under it."""
        producer = topics.settled(lambda: new_producer(at), "a producer's number")
        self.job.notes.set(producer=[producer.id, producer.epoch])

    def _connected(self) -> AbstractContextManager[Session]:
        return connected(self.at, self._wanted())

    def _wanted(self) -> str:
        return f"dataset {self.job.dataset.name!r} in kafka"


class _Spoiled(Exception):
    """A topic of ours holds what is not ours, or lacks what was in it."""


def _whole(section: JSON, found: Found | None) -> bool:
    """Whether every partition begins and ends where a load left it."""
    if found is None:
        return False
    parts = [(part["start"], part["end"]) for part in section["partitions"]]
    return parts == list(zip(found.starts, found.ends, strict=True))


@contextmanager
def connected(at: Endpoint, wanted: str) -> Iterator[Session]:
    """A connection; what goes wrong on it as the user shall read it.

    Raises:
        SeedFailed: nobody answers, or not as wanted.

    """
    try:
        with session(at) as open_session:
            yield open_session
    except NotReady as error:
        raise _failed(wanted, error) from error


def _failed(wanted: str, error: NotReady) -> SeedFailed:
    if isinstance(error, Refused) and error.code in _TOO_LARGE:
        found = f"{error}: the batch has {error.batch.size:,} bytes of {error.batch.count} records"
        return SeedFailed(wanted, found, "set the topic's max.message.bytes higher, or make the records smaller")
    if isinstance(error, Refused) and error.code not in topics.UNSETTLED:
        return SeedFailed(wanted, f"{error}", "mend the records or the topic's config in the dataset")
    if getattr(error, "code", 0) == _NOT_LOGGED_IN:
        return SeedFailed(wanted, str(error), "the broker has another password: `envctl down`, then `envctl up`")
    return SeedFailed(wanted, f"kafka: {error}", topics.AGAIN)


def clear(at: Endpoint, footprint: Mapping[str, Any]) -> str:
    """Delete the topics that a footprint names; what was removed, in a few words."""
    with connected(at, "the dataset's topics in kafka removed") as open_session:
        count = topics.remove(open_session, list(footprint.get("topics", ())))
    return f"{count} topic{'' if count == 1 else 's'}" if count else ""


def requests(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Batches in requests: each has of one partition one batch at most, and each partition's stay in their order."""
    waiting: dict[int, list[Batch]] = {}
    for batch in batches:
        waiting.setdefault(batch.partition, []).append(batch)
    while waiting:
        request, size = [], 0
        for partition in list(waiting):
            request.append(waiting[partition].pop(0))
            size += request[-1].size
            if not waiting[partition]:
                del waiting[partition]
            if size >= _REQUEST:
                yield request
                request, size = [], 0
        if request:
            yield request

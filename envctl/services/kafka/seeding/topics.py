"""Making the dataset's topics, and removing them: what may be replaced, and waiting until the broker has done it.

Brokers create and delete behind the answer. A topic that is being deleted is in no metadata any more while a new one
of its name is still refused; one that was just created may have no leader yet. Both take 0.1 to 0.2 s, on slow machines
seconds (measured; Kafka 3.9 with ZooKeeper).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from envctl.errors import SeedConflict, SeedFailed
from envctl.protocols import NotReady
from envctl.seeding.spec import Topic
from envctl.services.kafka.seeding import admin
from envctl.services.kafka.wire import TOPIC_EXISTS, UNKNOWN_TOPIC, Failed
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from envctl.services.kafka.seeding.admin import Found
    from envctl.services.kafka.seeding.client import Session

T = TypeVar("T")

KEPT = {"retention.ms": "-1", "segment.ms": str((1 << 63) - 1)}
"""Settings of filled topics that say nothing else. Kafka's retention counts from a record's own time: it would remove
last year's events within five minutes. And a new segment for every seven days that the records' times span costs a
file and a flush each.
"""

_SECONDS = 60.0
"""Within which the broker creates or deletes topics, also on a slow machine."""

AGAIN = "look into `envctl logs kafka`, bring it up with `envctl up`, then run `envctl seed` again: it goes on"
"""What to do when the broker went away."""

UNSETTLED = frozenset({3, 5, 6, 7, 14, 19, 20, 41, 56})
"""Errors of a broker that is still at work: UNKNOWN_TOPIC, LEADER_NOT_AVAILABLE, NOT_LEADER, TIMED_OUT, LOADING,
NOT_ENOUGH_REPLICAS (twice), NOT_CONTROLLER, STORAGE_ERROR.
"""

_TIMED_OUT = 7


class _NotYet(NotReady):
    """The broker answers, and has not done it yet."""


def effective(topic: Topic) -> Topic:
    """The topic with the settings that it gets."""
    return replace(topic, config={**KEPT, **topic.config}) if topic.relation or topic.file else topic


def conflict(topic: Topic, found: Found) -> str:
    """Why a topic that is there, and not ours, cannot be taken or replaced; empty if it can.

    What never held a record and has no settings of its own was created by a client's question (the broker does that):
    nobody loses anything by its being replaced. What is just as the dataset wants it is taken.
    """
    if held := sum(found.ends) - sum(found.starts):
        return f"topic {topic.name} holds {held:,} records of somebody else's"
    if any(found.ends):
        return f"topic {topic.name} held records of somebody else's"
    if not found.settings or fits(topic, found):
        return ""
    own = ", ".join(f"{key}={value}" for key, value in sorted(found.settings.items()))
    wanted = ", ".join(f"{key}={value}" for key, value in sorted(topic.config.items())) or "no settings"
    return (
        f"topic {topic.name} has {found.partitions} partitions with {own};"
        f" the dataset wants {topic.partitions} with {wanted}"
    )


def fits(topic: Topic, found: Found) -> bool:
    """Whether a topic has the partitions and settings that it must have."""
    return found.partitions == topic.partitions and plain(found.settings) == plain(topic.config)


def check(at: Session, topics: Collection[Topic]) -> None:
    """Let the broker say what is wrong with topics that are not there yet, before anything is created.

    Raises:
        SeedFailed: with its words for each.

    """
    if topics:
        _refuse({n: e for n, e in admin.create(at, topics, try_only=True).items() if e.code != TOPIC_EXISTS})


def make(at: Session, topics: Iterable[Topic]) -> None:
    """Create topics, by one request if none must go first, and wait until every partition takes records.

    Raises:
        SeedFailed: the broker refuses one, or does not get ready.
        SeedConflict: somebody else made one meanwhile, and filled it.

    """
    wanted = {topic.name: topic for topic in topics}
    left = dict(wanted)

    def created() -> None:
        refused = admin.create(at, left.values())
        _refuse({name: e for name, e in refused.items() if e.code not in {TOPIC_EXISTS, _TIMED_OUT}})
        for name in left.keys() - refused.keys():
            del left[name]
        for name, found in admin.look(at, left).items():
            _taken_or_deleted(at, left, name, found)
        if left:
            raise _NotYet("; ".join(str(refused[name]) for name in left if name in refused))

    def usable() -> None:
        found = admin.look(at, wanted)
        for name, topic in wanted.items():
            if name not in found or found[name].partitions != topic.partitions:
                raise _NotYet(f"topic {name} is not there yet")

    if wanted:
        settled(created, f"topics created: {', '.join(wanted)}")
        settled(usable, f"topics with leaders: {', '.join(wanted)}")


def remove(at: Session, names: Collection[str]) -> int:
    """Delete topics and wait until they are truly gone; how many were there.

    One that a client's question has created anew meanwhile, empty, counts as gone.
    """
    refused = admin.delete(at, names) if names else {}
    _refuse({name: e for name, e in refused.items() if e.code not in {UNKNOWN_TOPIC, _TIMED_OUT}})
    left = set(names)

    def gone() -> None:
        found = admin.look(at, left)
        held = admin.create(at, [Topic(name) for name in left], try_only=True)
        for name in list(left):
            if name not in held or (name in found and not any(found[name].ends) and not found[name].settings):
                left.discard(name)
        if left:
            raise _NotYet(f"still being deleted: {', '.join(sorted(left))}")

    if left:
        settled(gone, "topics deleted")
    return len(names) - sum(e.code == UNKNOWN_TOPIC for e in refused.values())


def settled(call: Callable[[], T], what: str) -> T:
    """The call's result as soon as the broker has settled.

    Raises:
        SeedFailed: it did not settle.
        NotReady: what is no matter of time, at once: a refusal, or a connection that has ended.

    """

    def attempt() -> T | NotReady:
        try:
            return call()
        except NotReady as error:
            if isinstance(error, _NotYet) or (isinstance(error, Failed) and error.code in UNSETTLED):
                raise
            return error

    try:
        found = until(attempt, _SECONDS, what)
    except TimedOut as error:
        raise SeedFailed(what, str(error), AGAIN) from error
    if isinstance(found, NotReady):
        raise found
    return found


def _taken_or_deleted(at: Session, left: dict[str, Topic], name: str, found: Found) -> None:
    """Somebody's question created the topic before we could: take it, or have it deleted once more."""
    if reason := conflict(left[name], found):
        raise SeedConflict(f"topic {name} for the dataset alone", reason, "stop what uses it, then seed again")
    if fits(left[name], found):
        del left[name]
    else:
        admin.delete(at, [name])


def _refuse(refused: Mapping[str, Failed]) -> None:
    if refused:
        found = "".join(f"\n         - {error}" for error in refused.values()).strip()
        raise SeedFailed(
            "the dataset's topics in kafka", found, "mend partitions, config or name in the dataset, then seed again"
        )


def plain(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings as the broker writes them."""
    return {key: value.replace(" ", "") for key, value in settings.items()}

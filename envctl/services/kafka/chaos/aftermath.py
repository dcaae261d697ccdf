"""The transactions that were open at a kill, and what became of each."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.reports import Fate, Transaction
from envctl.services.kafka.chaos import coordinator, logs
from envctl.services.kafka.wire import Failed
from envctl.waiting import Deadline, TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from envctl.services.kafka.chaos.coordinator import Partition, TransactionState
    from envctl.services.kafka.wire import Connection

_LONGEST = 80.0
"""Seconds that a verdict waits for an open transaction to be decided: less than healing has (120 s)."""
_CLEANUP = 15.0
"""Seconds after a transaction's time limit in which the coordinator aborts it (it looks every 10 s, here every 1 s)."""


@dataclass(frozen=True)
class Open:
    """A transaction as it was just before the kill: where it begins in each partition, and its messages there."""

    state: TransactionState
    first: Mapping[Partition, int]
    messages: Mapping[Partition, int]
    client: str = ""

    def written(self, topic: str = "") -> int:
        """Its messages in all, or in one topic."""
        return sum(count for (name, _), count in self.messages.items() if topic in {"", name})


@dataclass
class End:
    """How a transaction ended: what was found wrong, and what a reader of committed data sees of it."""

    transaction: Transaction
    problems: list[str] = field(default_factory=list)


def opened(connection: Connection, ids: Iterable[str], client: str = "") -> list[Open]:
    """These transactional ids' transactions, where they are open (or being ended) now."""
    found = []
    for state in coordinator.describe(connection, ids).values():
        if state.state not in coordinator.UNDECIDED:
            continue
        begins = coordinator.first_offsets(connection, state.partitions)
        first = {at: begins[at, state.producer] for at in state.partitions if (at, state.producer) in begins}
        messages = {
            at: logs.share(connection, at, state.producer, offset, committed=False).messages
            for at, offset in first.items()
        }
        found.append(Open(state, first, messages, client))
    return found


def all_ended(
    connect: Callable[[], Connection], victim: Open, beside: Sequence[Open], *, told: bool
) -> tuple[tuple[Transaction, ...], tuple[str, ...], dict[str, Any]]:
    """What became of each, what is wrong, and what else was seen. `told`: whether the victim heard of its end."""
    now = settle(connect, [victim, *beside])
    ends = [ended(connect, victim, now.get(victim.state.id), victim=True, told=told)]
    for one in beside:
        heard = one.state.state == coordinator.ONGOING
        ends.append(ended(connect, one, now.get(one.state.id), victim=False, told=heard))
    offsets, stuck = stable(connect, [at for one in (victim, *beside) for at in one.first])
    problems = [problem for end in ends for problem in end.problems] + stuck
    return tuple(end.transaction for end in ends), tuple(problems), {"last stable offsets": offsets}


def settle(connect: Callable[[], Connection], before: Iterable[Open]) -> dict[str, TransactionState]:
    """Wait until each is decided, at most until the coordinator has aborted what nobody ends; the states by id.

    While its client lives and asks again, a transaction goes on after the kill as if nothing had been.
    """
    ids = {one.state.id: one for one in before}
    now: dict[str, TransactionState] = {}

    def decided() -> None:
        with connect() as connection:
            now.update(coordinator.describe(connection, ids))
        if waiting := [name for name, one in ids.items() if not coordinator.decided(now.get(name), one.state)]:
            raise NotReady(f"open: {', '.join(waiting)}")

    left = max((one.state.started + one.state.timeout - time.time() * 1000 for one in ids.values()), default=0) / 1000
    try:
        until(decided, min(max(left, 0) + _CLEANUP, _LONGEST), "every transaction decided")
    except TimedOut:
        return now  # told of each, below
    return now


def ended(
    connect: Callable[[], Connection], before: Open, after: TransactionState | None, *, victim: bool, told: bool
) -> End:
    """What became of one. `told` says whether its client may have heard of its end."""
    shares: dict[Partition, logs.Share] = {}
    problems: list[str] = []
    decided = coordinator.decided(after, before.state)
    for at, first in before.first.items():
        try:
            shares[at] = _share(connect, at, before.state.producer, first, decided=decided)
        except Failed as error:
            problems.append(f"{before.state.id} in {_name(at)} cannot be read: {error}")
    marks = {share.committed for share in shares.values()} or {_by_state(before, after)}
    problems += _wrong(before, shares, marks, decided=decided)
    fate = Fate.OPEN if marks == {None} else Fate.ROLLED_BACK
    if marks == {True}:
        fate = Fate.COMMITTED if told else Fate.IN_DOUBT
    facts: dict[str, Any] = {
        "producer": before.state.producer,
        "epoch": before.state.epoch,
        "state": after.state if after else "unknown",
        "written": {_name(at): count for at, count in before.messages.items()},
        "read committed": {_name(at): share.messages for at, share in shares.items()},
    }
    where = ", ".join(map(_name, before.messages)) or "no topic"
    doing = f"{before.state.state}, {before.written()} messages in {where}"
    who = before.client or "a producer"
    return End(Transaction(who, before.state.id, doing, fate, victim, facts), problems)


def _wrong(
    before: Open, shares: Mapping[Partition, logs.Share], marks: set[bool | None], *, decided: bool
) -> list[str]:
    """Everything that recovery should have left right about one."""
    found, name = [], before.state.id
    if len(marks) > 1:
        found.append(f"{name} is torn: {_told(shares)}")
    missing = sum(before.messages[at] - share.messages for at, share in shares.items() if share.committed)
    if missing > 0:
        found.append(f"{name} is committed without {missing} of the messages that were written")
    if None in marks and decided:
        found.append(f"{name} hangs: it is decided, and {_told(shares)}")
    elif None in marks:
        found.append(f"{name} is still open: its client may yet commit it")
    return found


def stable(connect: Callable[[], Connection], partitions: Iterable[Partition]) -> tuple[dict[str, str], list[str]]:
    """Whether readers of committed data get to the end of each partition, and what keeps them where nothing should."""
    facts, problems = {}, []
    with connect() as connection:
        for at in sorted(set(partitions)):
            try:
                end = logs.fetch(connection, at, 0, committed=False)
                holding = [producer for (_, producer) in coordinator.first_offsets(connection, [at])]
            except Failed as error:
                problems.append(f"{_name(at)} cannot be read: {error}")
                continue
            if end.stable == end.end:
                facts[_name(at)] = f"{end.stable}, its end"
            else:
                facts[_name(at)] = f"{end.stable} of {end.end}, with {len(holding)} transactions open"
                problems += [] if holding else [f"readers of {_name(at)} are stuck at {end.stable} of {end.end}"]
    return facts, problems


def _share(connect: Callable[[], Connection], at: Partition, producer: int, first: int, *, decided: bool) -> logs.Share:
    """The transaction's share in a partition; of a decided one the marker comes a moment later."""
    deadline = Deadline(10.0)

    def look() -> logs.Share:
        with connect() as connection:
            found = logs.share(connection, at, producer, first, committed=True)
        if decided and found.committed is None and not deadline.passed:
            raise NotReady("its end is not written yet")
        return found

    return until(look, 30.0, f"{_name(at)} read")


def _by_state(before: Open, after: TransactionState | None) -> bool | None:
    """How one without a message ended, as far as its coordinator still says."""
    if not coordinator.decided(after, before.state):
        return None
    return after is not None and after.started == before.state.started and after.state in coordinator.COMMITTING


def _name(at: Partition) -> str:
    return f"{at[0]}-{at[1]}"


def _told(shares: Mapping[Partition, logs.Share]) -> str:
    words = {True: "committed", False: "aborted", None: "open"}
    return ", ".join(f"{_name(at)} {words[share.committed]}" for at, share in shares.items())

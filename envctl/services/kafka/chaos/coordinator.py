"""What the transaction coordinator and the partitions say of transactions, to Kafka's own requests (3.0 and later)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.services.kafka.wire import TRANSACTION_REFUSED, TRANSACTION_UNKNOWN, check, compact, compact_array

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envctl.services.kafka.wire import Connection, Reader

ONGOING = "Ongoing"
COMMITTING = ("PrepareCommit", "CompleteCommit")
"""From the first of these on nothing can undo a transaction: its end is in the coordinator's log."""
UNDECIDED = (ONGOING, "PrepareCommit", "PrepareAbort", "PrepareEpochFence")

Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""


@dataclass(frozen=True, slots=True)
class TransactionState:
    """One transactional id as its coordinator knows it. `started` is Unix time in ms, `timeout` in ms.

    `partitions` are those that the transaction in progress has announced; none when it is complete.
    """

    id: str
    state: str
    timeout: int
    started: int
    producer: int
    epoch: int
    partitions: tuple[Partition, ...]


def undecided(connection: Connection) -> list[str]:
    """The transactional ids whose transactions are open, or whose end is being written, sorted."""
    states = compact_array(compact(one.encode()) for one in UNDECIDED)
    response = connection.call(66, 0, states + compact_array(()) + b"\0", flexible=True)
    response.number("i")
    check("list transactions", response.number("h"))
    for _ in range(response.compact_length()):
        response.compact_string()

    def one() -> str:
        name = response.compact_string()
        response.number("q")
        response.compact_string()
        return name

    return sorted(response.compact_array(one))


def describe(connection: Connection, ids: Iterable[str]) -> dict[str, TransactionState]:
    """The transactions of these transactional ids; those that the coordinator does not know are left out."""
    found = {}
    for code, state in _described(connection, ids):
        if code != TRANSACTION_UNKNOWN:
            check(f"describe transaction {state.id}", code)
            found[state.id] = state
    return found


def may_transact(connection: Connection, identity: str) -> bool:
    """Whether this connection's principal may see a transactional id, be it there or not."""
    return all(code != TRANSACTION_REFUSED for code, _ in _described(connection, [identity]))


def _described(connection: Connection, ids: Iterable[str]) -> list[tuple[int, TransactionState]]:
    body = compact_array(compact(one.encode()) for one in ids) + b"\0"
    response = connection.call(65, 0, body, flexible=True)
    response.number("i")
    number, text = response.number, response.compact_string

    def one() -> tuple[int, TransactionState]:
        code, name, state = number("h"), text(), text()
        timeout, started, producer, epoch = number("i"), number("q"), number("q"), number("h")
        topics = response.compact_array(lambda: (text(), _partitions(response)))
        partitions = tuple(sorted((topic, partition) for topic, found in topics for partition in found))
        return code, TransactionState(name, state, timeout, started, producer, epoch, partitions)

    return response.compact_array(one)


def _partitions(response: Reader) -> list[int]:
    """Numbers; being no structures they have no tags."""
    return [response.number("i") for _ in range(response.compact_length())]


def first_offsets(connection: Connection, partitions: Iterable[Partition]) -> dict[tuple[Partition, int], int]:
    """Where the open transactions of these partitions begin, by partition and producer."""
    by_topic: dict[str, list[bytes]] = {}
    for name, at in partitions:
        by_topic.setdefault(name, []).append(struct.pack(">i", at))
    asked = [compact(name.encode()) + compact_array(numbers) + b"\0" for name, numbers in by_topic.items()]
    response = connection.call(61, 0, compact_array(asked) + b"\0", flexible=True)
    response.number("i")
    number, found = response.number, {}

    def producer() -> tuple[int, int]:
        identity, _, _, _, _, first = (number(form) for form in "qiiqiq")
        return identity, first

    def partition(topic: str) -> None:
        at, code, message = number("i"), number("h"), response.compact_string()
        producers = response.compact_array(producer)
        check(f"describe the producers of {topic}-{at}", code, message)
        found.update({((topic, at), identity): first for identity, first in producers if first >= 0})

    def topic() -> None:
        name = response.compact_string()
        response.compact_array(lambda: partition(name))

    response.compact_array(topic)
    return found


def decided(state: TransactionState | None, before: TransactionState) -> bool:
    """Whether a transaction that was open as `before` says is so no more: it, or its producer, has gone on."""
    if state is None or (state.producer, state.epoch) != (before.producer, before.epoch):
        return True
    return state.state not in UNDECIDED or state.started != before.started

"""The requests that seeding makes, on a connection that lasts. Each takes a version that Kafka 2.7 to 4 understands."""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING

from envctl.protocols import NotReady
from envctl.services.kafka.sasl import login_plain
from envctl.services.kafka.seeding.batches import Producer
from envctl.services.kafka.wire import NOT_KAFKA, Connection, Failed, array, check, string

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from envctl.model import Endpoint
    from envctl.services.kafka.seeding.batches import Batch
    from envctl.services.kafka.wire import Reader

PATIENCE = 30.0
"""Seconds that one request may take: a broker under load, or one that creates fifty topics, still answers."""

IN_FLIGHT = 4
"""Requests under way. A broker remembers a producer's last five batches of a partition, and takes none of them twice:
with four, whatever a killed predecessor had under way is known when it is sent again.
"""

FETCHED = 2 << 20
"""Bytes that one fetch may bring: several batches, as the one that does not fit any more comes again with the next."""

_WAIT_MS = 500
"""Milliseconds that a fetch waits where nothing is; it asks only for what is there."""

DUPLICATE = 46
_LATEST, _EARLIEST = -1, -2


class Session(Connection):
    """A connection of which each request and each answer, not the whole, takes at most its time."""

    largest = 256 << 20

    def send(self, api: int, version: int, *body: bytes | memoryview, flexible: bool = False) -> int:
        """As a connection does."""
        self._wire.renew()
        return super().send(api, version, *body, flexible=flexible)

    def receive(self, correlation: int) -> Reader:
        """As a connection does."""
        self._wire.renew()
        return super().receive(correlation)


def session(at: Endpoint) -> Session:
    """A connection as the admin, or through the plaintext listener where there is none.

    Raises:
        NotReady: nobody answers, or the login is refused.

    """
    if at.admin is None:
        return Session(at.host, at.port, PATIENCE)
    found = Session(at.host, at.ports["sasl"], PATIENCE)
    try:
        login_plain(found, at.admin)
    except BaseException:
        found.__exit__()
        raise
    return found


def new_producer(at: Session) -> Producer:
    """A number that no other producer has: the broker keeps its sequence numbers apart."""
    no_transactions = struct.pack(">hi", -1, -1)
    response = at.call(22, 0, no_transactions)
    response.number("i")
    check("a producer's number", response.number("h"))
    return Producer(response.number("q"), response.number("h"))


def offsets(at: Session, partitions: Mapping[str, int], *, earliest: bool = False) -> dict[str, list[int]]:
    """The end (or start) offset of each partition of topics, given how many each has."""
    when = _EARLIEST if earliest else _LATEST
    wanted = [
        string(topic) + array(struct.pack(">iq", number, when) for number in range(count))
        for topic, count in partitions.items()
    ]
    response = at.call(2, 1, struct.pack(">i", -1) + array(wanted))
    found: dict[str, list[int]] = {topic: [0] * count for topic, count in partitions.items()}

    def partition(topic: str) -> None:
        number, code = response.number("i"), response.number("h")
        check(f"offsets of {topic}, partition {number}", code)
        response.number("q")
        found[topic][number] = response.number("q")

    response.array(lambda: _of_topic(response, partition))
    return found


def fetch(at: Session, topic: str, partition: int, offset: int) -> bytes:
    """The batches of a partition from an offset on as they lie in the log, the last one maybe in part."""
    wanted = string(topic) + array([struct.pack(">iiqqi", partition, -1, offset, -1, FETCHED)])
    no_session = struct.pack(">ii", 0, -1)
    body = struct.pack(">iiiib", -1, _WAIT_MS, 1, FETCHED, 0) + no_session + array([wanted]) + array(())
    response = at.call(1, 10, body)
    response.number("i")
    check(f"fetch from {topic}", response.number("h"))
    response.number("i")
    found = b""

    def part(_: str) -> None:
        nonlocal found
        response.number("i")
        check(f"fetch from {topic}, partition {partition}", response.number("h"))
        response.take(24)
        response.array(lambda: response.take(16))
        found = response.bytes()

    response.array(lambda: _of_topic(response, part))
    return found


class Lost(Exception):
    """A batch did not land at its offset: somebody else writes, or the broker knows the producer no more."""


class Appender:
    """Appends batches of one topic, acknowledged by all replicas; a few requests are under way at any time.

    `landed` hears of each batch that is in.
    """

    def __init__(self, at: Session, topic: str, producer: Producer, landed: Callable[[Batch], None]) -> None:
        self._at, self._topic, self._producer, self._landed = at, topic, producer, landed
        self._under_way: deque[tuple[int, Mapping[int, Batch]]] = deque()

    def append(self, batches: Iterable[Batch]) -> None:
        """Send one request; of each partition at most one batch.

        Raises:
            Lost: an earlier batch did not land at its offset.
            Refused: the broker does not take a batch.
            NotReady: the broker went away.

        """
        ours = {batch.partition: batch for batch in batches}
        if len(self._under_way) >= IN_FLIGHT:
            self._answered()
        pieces: list[bytes | memoryview] = [
            struct.pack(">hhii", -1, -1, self._at.timeout_ms, 1) + string(self._topic) + struct.pack(">i", len(ours))
        ]
        for number, batch in ours.items():
            pieces += [struct.pack(">ii", number, batch.size) + batch.header(self._producer), batch.records]
        self._under_way.append((self._at.send(0, 8, *pieces), ours))

    def finish(self) -> None:
        """Wait for all answers; raises as `append`."""
        while self._under_way:
            self._answered()

    def _answered(self) -> None:
        correlation, batches = self._under_way.popleft()
        response = self._at.receive(correlation)
        results: list[tuple[Batch, int, int, str]] = []

        def partition(_: str) -> None:
            batch, code, offset = batches[response.number("i")], response.number("h"), response.number("q")
            response.take(16)
            reasons = response.array(lambda: (response.number("i"), response.string())[1])
            results.append((batch, code, offset, "; ".join([*reasons[:1], response.string()]).strip("; ")))

        response.array(lambda: _of_topic(response, partition))
        if len(results) != len(batches):
            raise NotReady(NOT_KAFKA)
        for batch, code, offset, reason in results:
            self._judge(batch, code, offset, reason)
            self._landed(batch)

    def _judge(self, batch: Batch, code: int, offset: int, reason: str) -> None:
        where = f"{self._topic}, partition {batch.partition}, offset {batch.first}"
        if code in _LOST:
            raise Lost(f"{where}: the broker expected another batch of this producer")
        if code and code != DUPLICATE:
            raise Refused(where, code, reason, batch)
        if not code and offset != batch.first:
            raise Lost(f"{where}: the batch landed at offset {offset}")


_LOST = frozenset({45, 47, 59})
"""OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, UNKNOWN_PRODUCER_ID."""


class Refused(Failed):
    """The broker does not take a batch."""

    def __init__(self, where: str, code: int, message: str, batch: Batch) -> None:
        self.batch = batch
        super().__init__(where, code, message)


def _of_topic(response: Reader, partition: Callable[[str], object]) -> None:
    """Read one topic of an answer: its name, and its partitions."""
    name = response.string()
    response.array(lambda: partition(name))

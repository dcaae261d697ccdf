"""Kafka's wire protocol: framing, and the few types that `requests` needs.

By hand and not with kafka-python, because readiness is asked every 20 to 250 ms while the broker boots: importing
kafka-python costs 130 ms and each of its clients starts a thread.
The protocol is public and stable: kafka.apache.org/protocol.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Self, TypeVar

from envctl.protocols import NotReady
from envctl.services.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

CLIENT_ID = "envctl"
CORRUPT = 2
UNKNOWN_TOPIC = 3
NOT_LEADER = 6
NO_COORDINATOR = 15
NOT_COORDINATOR = 16
UNKNOWN_MEMBER = 25
TOPIC_REFUSED = 29
GROUP_REFUSED = 30
TOPIC_EXISTS = 36
TRANSACTION_REFUSED = 53
TRANSACTION_UNKNOWN = 105
LOGIN_REFUSED = 58
NOT_KAFKA = "the answer is not Kafka's"
_LARGEST_RESPONSE = 4 << 20
_ERRORS = {
    1: "OFFSET_OUT_OF_RANGE",
    2: "CORRUPT_MESSAGE",
    3: "UNKNOWN_TOPIC_OR_PARTITION",
    5: "LEADER_NOT_AVAILABLE",
    6: "NOT_LEADER_OR_FOLLOWER",
    7: "REQUEST_TIMED_OUT",
    10: "MESSAGE_TOO_LARGE",
    11: "STALE_CONTROLLER_EPOCH",
    14: "COORDINATOR_LOAD_IN_PROGRESS",
    15: "COORDINATOR_NOT_AVAILABLE",
    16: "NOT_COORDINATOR",
    17: "INVALID_TOPIC_EXCEPTION",
    18: "RECORD_LIST_TOO_LARGE",
    19: "NOT_ENOUGH_REPLICAS",
    25: "UNKNOWN_MEMBER_ID",
    27: "REBALANCE_IN_PROGRESS",
    29: "TOPIC_AUTHORIZATION_FAILED",
    30: "GROUP_AUTHORIZATION_FAILED",
    31: "CLUSTER_AUTHORIZATION_FAILED",
    32: "INVALID_TIMESTAMP",
    33: "UNSUPPORTED_SASL_MECHANISM",
    36: "TOPIC_ALREADY_EXISTS",
    37: "INVALID_PARTITIONS",
    40: "INVALID_CONFIG",
    41: "NOT_CONTROLLER",
    44: "POLICY_VIOLATION",
    45: "OUT_OF_ORDER_SEQUENCE_NUMBER",
    53: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    56: "KAFKA_STORAGE_ERROR",
    58: "SASL_AUTHENTICATION_FAILED",
    73: "TOPIC_DELETION_DISABLED",
    74: "FENCED_LEADER_EPOCH",
    75: "UNKNOWN_LEADER_EPOCH",
    87: "INVALID_RECORD",
    105: "TRANSACTIONAL_ID_NOT_FOUND",
}


class Failed(NotReady):
    """The broker answered with an error code."""

    def __init__(self, wanted: str, code: int, message: str = "") -> None:
        self.code = code
        super().__init__(f"{wanted}: {self.word}{f' ({message})' if message else ''}")

    @property
    def word(self) -> str:
        """The code in Kafka's own words."""
        return _ERRORS.get(self.code, f"error {self.code}")


def check(wanted: str, code: int, message: str = "") -> None:
    """Pass when a response carries no error."""
    if code:
        raise Failed(wanted, code, message)


class Reader:
    """Takes values off a response, front to back."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise NotReady(NOT_KAFKA)
        self._at, start = end, self._at
        return self._data[start:end]

    def number(self, form: str) -> int:
        """One big-endian integer of a `struct` format: b, h, i, q."""
        value: int = struct.unpack(f">{form}", self.take(struct.calcsize(f">{form}")))[0]
        return value

    def string(self) -> str:
        """A string; null is empty."""
        return self.take(max(self.number("h"), 0)).decode(errors="replace")

    def bytes(self) -> bytes:
        """Bytes; null is empty."""
        return self.take(max(self.number("i"), 0))

    def array(self, item: Callable[[], T]) -> list[T]:
        """As many items as announced; null is empty."""
        return [item() for _ in range(self.number("i"))]

    def compact_length(self) -> int:
        """The length in front of a compact string or array; null is 0."""
        value = shift = 0
        while True:
            byte = self.number("B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004 - the last byte has no continuation bit
                return max(value - 1, 0)

    def compact_string(self) -> str:
        """A string of the flexible versions; null is empty."""
        return self.take(self.compact_length()).decode(errors="replace")

    def compact_array(self, item: Callable[[], T]) -> list[T]:
        """As many items as announced, each followed by its tags; null is empty."""
        found = []
        for _ in range(self.compact_length()):
            found.append(item())
            self.tags()
        return found

    def tags(self) -> None:
        """Pass over tagged fields: none of those that envctl asks for has any yet."""
        self.take(1)


NULL = struct.pack(">h", -1)
"""A string that is none."""


def string(text: str) -> bytes:
    """A string."""
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def data(content: bytes) -> bytes:
    """Bytes."""
    return struct.pack(">i", len(content)) + content


def array(items: Iterable[bytes]) -> bytes:
    """An array of encoded items."""
    encoded = list(items)
    return struct.pack(">i", len(encoded)) + b"".join(encoded)


def varint(value: int) -> bytes:
    """An unsigned integer, seven bits a byte, lowest first."""
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - what fits into seven bits
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> bytes:
    """A signed integer, as the fields of a record have it."""
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def compact(content: bytes) -> bytes:
    """Bytes or a string of the flexible versions."""
    return varint(len(content) + 1) + content


def compact_array(items: Iterable[bytes]) -> bytes:
    """An array of encoded items of the flexible versions."""
    encoded = list(items)
    return varint(len(encoded) + 1) + b"".join(encoded)


class Connection:
    """One connection to one listener; everything on it takes at most `timeout` seconds.

    Every method raises `NotReady` when the network or the broker does not do its part.
    """

    largest = _LARGEST_RESPONSE

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self.timeout_ms = int(timeout * 1000)
        self._wire = Wire(host, port, timeout)
        self._correlation = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._wire.__exit__()

    def call(self, api: int, version: int, body: bytes, *, flexible: bool = False) -> Reader:
        """Send one request and take its response."""
        response = self.receive(self.send(api, version, body, flexible=flexible))
        response.take(1 if flexible else 0)
        return response

    def send(self, api: int, version: int, *body: bytes | memoryview, flexible: bool = False) -> int:
        """Send one request; the number by which its response is taken. Responses come in the order of requests.

        The body may come in pieces, which are sent from where they lie.
        """
        self._correlation += 1
        tags = b"\0" if flexible else b""
        header = struct.pack(">hhi", api, version, self._correlation) + string(CLIENT_ID) + tags
        self._wire.send(struct.pack(">i", len(header) + sum(map(len, body))) + header, *body)
        return self._correlation

    def receive(self, correlation: int) -> Reader:
        """Take the response to the request of this number."""
        size: int = struct.unpack(">i", self._wire.exactly(4))[0]
        if not 0 <= size <= self.largest:
            raise NotReady(NOT_KAFKA)
        response = Reader(self._wire.exactly(size))
        if response.number("i") != correlation:
            raise NotReady(NOT_KAFKA)
        return response

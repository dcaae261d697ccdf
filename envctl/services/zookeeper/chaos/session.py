"""A ZooKeeper session of the few messages that faults need (jute, protocol version 0)."""

from __future__ import annotations

import secrets
import struct
from typing import TYPE_CHECKING, Self

from envctl.protocols import NotReady
from envctl.services.wire import Wire

if TYPE_CHECKING:
    from envctl.model import Endpoint

_SESSION_MS = 10_000
_CREATE2, _CLOSE = 15, -11
_EPHEMERAL = 1
_ALL_RIGHTS = 31
_OPENED = struct.Struct("!4x i")
"""Of the answer to a connection: the timeout in ms; 0 where it was refused."""

_ANSWER = struct.Struct("!i q i")
"""The head of every other answer: number, transaction, error. After an error nothing follows."""

_STAT = struct.Struct("!q q q q i i i q i i q")
_CREATED = 2
"""Its third: when it was made, in ms."""


class Session:
    """Open for as long as the block lasts; its opening and its end are transactions, synced before they are answered.

    Raises:
        NotReady: refused, or no answer within `timeout` seconds.

    """

    def __init__(self, at: Endpoint, timeout: float) -> None:
        self._wire = Wire(at.host, at.port, timeout)

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._wire.__exit__()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._wire:
            # After a failure the reason for it is the message, not that a farewell could not be said.
            if kind is None:
                self._send(struct.pack("!ii", 2, _CLOSE))
                self._receive()

    def made_at(self) -> float:
        """Make a node that goes with the session; the Unix time in seconds at which the server says it was made."""
        path = f"/envctl-{secrets.token_hex(8)}".encode()
        rights = struct.pack("!ii", 1, _ALL_RIGHTS) + _text(b"world") + _text(b"anyone")
        node = _text(path) + _text(b"") + rights + struct.pack("!i", _EPHEMERAL)
        self._send(struct.pack("!ii", 1, _CREATE2) + node)
        answer = self._receive()
        if len(answer) < _ANSWER.size + _STAT.size:
            raise NotReady("ZooKeeper made no node")
        return float(_STAT.unpack(answer[-_STAT.size :])[_CREATED]) / 1000

    def _open(self) -> None:
        self._send(struct.pack("!iqiqi16sx", 0, 0, _SESSION_MS, 0, 16, b""))
        answer = self._receive()
        if len(answer) < _OPENED.size or not _OPENED.unpack_from(answer)[0]:
            raise NotReady("ZooKeeper opened no session")

    def _send(self, body: bytes) -> None:
        self._wire.send(_text(body))

    def _receive(self) -> bytes:
        (size,) = struct.unpack("!i", self._wire.exactly(4))
        # No answer here is longer than some hundred bytes: more means that something else speaks.
        if not 0 <= size <= 1 << 16:
            raise NotReady("what answers is not ZooKeeper")
        return self._wire.exactly(size)


def _text(content: bytes) -> bytes:
    return struct.pack("!i", len(content)) + content

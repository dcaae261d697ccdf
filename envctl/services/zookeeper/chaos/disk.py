"""What a full, read-only or slow disk means to ZooKeeper: where its data lies, and a write that reaches it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from envctl.protocols import NotReady
from envctl.services.wire import Wire

if TYPE_CHECKING:
    from envctl.model import Endpoint

_SESSION_MS = 10_000
_CLOSE = -11
_HEAD = struct.Struct("!4x i q")
"""Of the answer to a connection: version, timeout in ms (0: refused), session."""


class ZooKeeperDisk:
    """`KeepsData`."""

    data_directory = "/var/lib/zookeeper"
    writes_need_room = False

    def write(self, at: Endpoint, timeout: float) -> None:
        """Open a session and close it: each is a transaction, synced to its log before the answer."""
        with Wire(at.host, at.port, timeout) as wire:
            wire.send(_packet(struct.pack("!iqiqi16sx", 0, 0, _SESSION_MS, 0, 16, b"")))
            answer = wire.exactly(*struct.unpack("!i", wire.exactly(4)))
            if len(answer) < _HEAD.size or not _HEAD.unpack_from(answer)[0]:
                raise NotReady("ZooKeeper opened no session")
            wire.send(_packet(struct.pack("!ii", 1, _CLOSE)))
            wire.exactly(4)


def _packet(body: bytes) -> bytes:
    return struct.pack("!i", len(body)) + body

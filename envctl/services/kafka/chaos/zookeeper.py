"""The few requests of ZooKeeper's protocol by which Kafka's own records are read and put back: of users, of leaders.

By hand: Kafka has no request that tells a credential's keys, or that takes them, and its tools start a JVM each (1 s).
The protocol (jute over TCP) has not changed since ZooKeeper 3.4.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, unquote

from envctl.protocols import NotReady
from envctl.services.kafka.wire import data
from envctl.services.wire import Wire

USERS = "/config/users"
_CHANGES = "/config/changes/config_change_"
_CREATE, _DELETE, _GET, _SET, _CHILDREN, _CLOSE = 1, 2, 4, 5, 8, -11
_NO_NODE, _CHANGED, _EXISTS = -101, -103, -110
_ANY_VERSION = -1
_SESSION_MS = 4000
_LARGEST = 1 << 20
_ANYBODY = struct.pack(">ii", 1, 31) + data(b"world") + data(b"anyone")
"""The access list that Kafka itself gives its nodes where ZooKeeper wants no login."""
_PERSISTENT, _SEQUENTIAL = 0, 2


@dataclass(frozen=True, slots=True)
class Node:
    """What a node holds, and the version of that."""

    content: bytes
    version: int


class ZooKeeperFailed(NotReady):
    """ZooKeeper answered with an error code."""

    def __init__(self, path: str, code: int) -> None:
        self.code = code
        words = {_NO_NODE: "is not there", _CHANGED: "was changed in this moment", _EXISTS: "is there already"}
        super().__init__(f"ZooKeeper's {path} {words.get(code, f'cannot be had (error {code})')}")


class ZooKeeperSession:
    """One session with ZooKeeper; everything in it takes at most `timeout` seconds. Use it as a context manager.

    Every method raises `NotReady` where the network or ZooKeeper does not do its part.
    """

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._wire = Wire(host, port, timeout)
        self._wire.send(data(struct.pack(">iqiq", 0, 0, _SESSION_MS, 0) + data(bytes(16))))
        self._frame()
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._call(_CLOSE, b"", "session")
        except NotReady:
            return  # it ends by itself
        finally:
            self._wire.__exit__()

    def get(self, path: str) -> Node | None:
        """A node, None where there is none."""
        try:
            answer = self._call(_GET, data(path.encode()) + b"\0", path)
        except ZooKeeperFailed as error:
            if error.code == _NO_NODE:
                return None
            raise
        size = max(struct.unpack_from(">i", answer)[0], 0)
        # The version follows two transaction numbers and two times.
        return Node(answer[4 : 4 + size], struct.unpack_from(">i", answer, 4 + size + 32)[0])

    def children(self, path: str) -> list[str]:
        """The names below a node, sorted; none where there is no such node."""
        try:
            answer = self._call(_CHILDREN, data(path.encode()) + b"\0", path)
        except ZooKeeperFailed as error:
            if error.code == _NO_NODE:
                return []
            raise
        names, at = [], 4
        for _ in range(struct.unpack_from(">i", answer)[0]):
            size = struct.unpack_from(">i", answer, at)[0]
            names.append(answer[at + 4 : at + 4 + size].decode())
            at += 4 + size
        return sorted(names)

    def put(self, path: str, content: bytes, before: Node | None) -> None:
        """Write a node that is as `before` says; else raises NotReady and writes nothing."""
        if before is None:
            self._call(_CREATE, self._creation(path, content, _PERSISTENT), path)
        else:
            self._call(_SET, data(path.encode()) + data(content) + struct.pack(">i", before.version), path)

    def delete(self, path: str) -> None:
        """Delete a node, whatever it holds; one that is not there is fine."""
        try:
            self._call(_DELETE, data(path.encode()) + struct.pack(">i", _ANY_VERSION), path)
        except ZooKeeperFailed as error:
            if error.code != _NO_NODE:
                raise

    def announce(self, entity: str) -> None:
        """Tell the brokers, as Kafka's own tools do, that the settings of an entity (`users/app`) were changed."""
        told = json.dumps({"version": 2, "entity_path": entity}).encode()
        self._call(_CREATE, self._creation(_CHANGES, told, _SEQUENTIAL), _CHANGES)

    def _creation(self, path: str, content: bytes, kind: int) -> bytes:
        return data(path.encode()) + data(content) + _ANYBODY + struct.pack(">i", kind)

    def _call(self, operation: int, body: bytes, path: str) -> bytes:
        self._number += 1
        self._wire.send(data(struct.pack(">ii", self._number, operation) + body))
        answer = self._frame()
        number, _, code = struct.unpack_from(">iqi", answer)
        if number != self._number:
            raise NotReady("the answer is not ZooKeeper's")
        if code:
            raise ZooKeeperFailed(path, code)
        return answer[16:]

    def _frame(self) -> bytes:
        size = struct.unpack(">i", self._wire.exactly(4))[0]
        if not 16 <= size <= _LARGEST:  # noqa: PLR2004 - the header's bytes
            raise NotReady("the answer is not ZooKeeper's")
        return self._wire.exactly(size)


def node_of(user: str) -> str:
    """A user's name as Kafka writes it in ZooKeeper's paths."""
    return quote(user, safe="~")


def user_of(node: str) -> str:
    """The user of such a name."""
    return unquote(node)

"""What a full, read-only or slow disk means to ZooKeeper: where its data lies, and a write that reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.services.zookeeper.chaos.session import Session

if TYPE_CHECKING:
    from envctl.model import Endpoint


class ZooKeeperDisk:
    """`KeepsData`."""

    data_directory = "/var/lib/zookeeper"
    writes_need_room = False
    syncs = True
    remembers = 0.0

    def write(self, at: Endpoint, timeout: float) -> None:
        """Open a session and close it: each is a transaction, synced to its log before the answer."""
        with Session(at, timeout):
            pass

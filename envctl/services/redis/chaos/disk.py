"""What a full, read-only or slow disk means to Redis: where its data lies, and a write that reaches it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from envctl.protocols import NotReady
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from envctl.model import Endpoint


class RedisDisk:
    """`KeepsData`."""

    data_directory = "/data"
    writes_need_room = True
    syncs = True
    remembers = 0.0

    def write(self, at: Endpoint, timeout: float) -> None:
        """Set a key, wait until the append-only file with it is synced (up to 1 s), and delete it."""
        from envctl.services.redis.chaos.conversation import Conversation

        key = f"envctl:write:{secrets.token_hex(8)}"
        with Conversation(at, admin_of(at), timeout) as redis:
            # Should this end before DEL, it goes by itself.
            redis.ask("SET", key, "", "PX", str(round(timeout * 1000)))
            # The answer to SET came after the file was written to, and whether or not that worked.
            status = redis.ask("INFO", "persistence")
            if b"aof_last_write_status:ok" not in status:
                raise NotReady("SET was answered, yet INFO says aof_last_write_status:err")
            if redis.ask("WAITAOF", "1", "0", str(round(timeout * 900)))[0] != 1:
                raise NotReady(f"WAITAOF: not synced within {timeout * 0.9:.3g} s")
            redis.ask("DEL", key)

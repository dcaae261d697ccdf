"""What time Redis has."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from envctl.model import Endpoint


class RedisClock:
    """`TellsTime` and `KeepsTimes`."""

    def clock(self, at: Endpoint, timeout: float) -> float:
        """`TIME`, to the microsecond."""
        from envctl.services.redis.chaos.conversation import Conversation

        with Conversation(at, admin_of(at), timeout) as redis:
            seconds, microseconds = map(int, redis.ask("TIME"))
        return seconds + microseconds / 1e6

    def reckoning(self, at: Endpoint, timeout: float) -> dict[str, Any]:
        """When it syncs its append-only file."""
        from envctl.services.redis.chaos.conversation import Conversation

        with Conversation(at, admin_of(at), timeout) as redis:
            return {"appendfsync": redis.ask("CONFIG", "GET", "appendfsync")[1].decode()}

    def reckon_anew(self, at: Endpoint, before: dict[str, Any], timeout: float) -> None:
        """Have it note a sync now.

        With `everysec` it syncs a second after the last sync by the wall clock (seen with 8.2): after one that was
        dated an hour ahead, not within that hour. Under `always` each write is synced, and that is dated, at once.
        """
        from envctl.services.redis.chaos.conversation import Conversation

        key = f"envctl:clock:{secrets.token_hex(8)}"
        with Conversation(at, admin_of(at), timeout) as redis:
            redis.ask("CONFIG", "SET", "appendfsync", "always")
            redis.ask("SET", key, "", "PX", "1000")
            redis.ask("DEL", key)
            redis.ask("CONFIG", "SET", "appendfsync", before["appendfsync"])

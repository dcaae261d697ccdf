"""What time Redis has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from envctl.model import Endpoint


class RedisClock:
    """`TellsTime`."""

    def clock(self, at: Endpoint, timeout: float) -> float:
        """`TIME`, to the microsecond."""
        from envctl.services.redis.chaos.conversation import Conversation

        with Conversation(at, admin_of(at), timeout) as redis:
            seconds, microseconds = map(int, redis.ask("TIME"))
        return seconds + microseconds / 1e6

"""The ways of its own in which Redis can be hurt."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from envctl.services.redis.chaos.buffers import CutOutputBuffers
from envctl.services.redis.chaos.busy import BlockServer
from envctl.services.redis.chaos.crowd import ExhaustConnections
from envctl.services.redis.chaos.eviction import Evict
from envctl.services.redis.chaos.loading import Loading
from envctl.services.redis.chaos.memory import OutOfMemory
from envctl.services.redis.chaos.replica import ReadOnly
from envctl.services.redis.chaos.slowing import ask
from envctl.services.slow_requests import SlowRequests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.capabilities import HasWays, Way


class RedisWays:
    """`HasWays`."""

    ways: Mapping[str, Way] = MappingProxyType(
        {
            "loading": Loading(),
            "out-of-memory": OutOfMemory(),
            "evict": Evict(),
            "read-only": ReadOnly(),
            "slow-commands": SlowRequests("redis", 6379, ask),
            "block-server": BlockServer(),
            "cut-output-buffers": CutOutputBuffers(),
            "exhaust-connections": ExhaustConnections(),
        }
    )


if TYPE_CHECKING:
    _ways: HasWays = RedisWays()

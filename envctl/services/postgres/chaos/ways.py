"""PostgreSQL's own ways to be hurt."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from envctl.services.postgres.chaos.crowding import ExhaustConnections
from envctl.services.postgres.chaos.deadlocking import Deadlock
from envctl.services.postgres.chaos.locking import Lock
from envctl.services.postgres.chaos.read_only import ReadOnly
from envctl.services.postgres.chaos.serializing import SerializationFailures
from envctl.services.postgres.chaos.slowing import ask
from envctl.services.postgres.chaos.vacuuming import HoldVacuum
from envctl.services.slow_requests import SlowRequests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.capabilities import HasWays, Way


class PostgresWays:
    """`HasWays`."""

    ways: Mapping[str, Way] = MappingProxyType(
        {
            "lock": Lock(),
            "deadlock": Deadlock(),
            "serialization-failures": SerializationFailures(),
            "hold-vacuum": HoldVacuum(),
            "exhaust-connections": ExhaustConnections(),
            "read-only": ReadOnly(),
            "slow-commands": SlowRequests("postgres", 5432, ask),
        }
    )


if TYPE_CHECKING:
    _ways: HasWays = PostgresWays()

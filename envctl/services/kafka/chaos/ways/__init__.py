"""How Kafka is hurt in ways of its own: each file is one fault's, and the mixin lists them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from envctl.services.kafka.chaos.ways.lose_coordinator import LoseCoordinator
from envctl.services.kafka.chaos.ways.lose_leader import LoseLeader
from envctl.services.kafka.chaos.ways.poison_record import PoisonRecord
from envctl.services.kafka.chaos.ways.rebalance import Rebalance
from envctl.services.kafka.chaos.ways.reject_produce import RejectProduce
from envctl.services.kafka.chaos.ways.truncate_log import TruncateLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.capabilities import Way


class KafkaWays:
    """`HasWays`."""

    ways: Mapping[str, Way] = MappingProxyType(
        {
            "reject-produce": RejectProduce(),
            "poison-record": PoisonRecord(),
            "truncate-log": TruncateLog(),
            "lose-leader": LoseLeader(),
            "lose-coordinator": LoseCoordinator(),
            "rebalance": Rebalance(),
        }
    )

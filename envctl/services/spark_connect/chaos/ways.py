"""Spark Connect's own ways, by the names of their faults."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from envctl.services.spark_connect.chaos.heap import Heap
from envctl.services.spark_connect.chaos.interrupting import Interrupting
from envctl.services.spark_connect.chaos.requests import SparkRequests
from envctl.services.spark_connect.chaos.sessions import Sessions
from envctl.services.spark_connect.chaos.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.capabilities import HasWays, Way


class SparkWays:
    """What can be done to it from inside."""

    ways: Mapping[str, Way] = MappingProxyType(
        {
            "interrupt-job": Interrupting(),
            "fail-tasks": Tasks(),
            "executor-oom": Heap(),
            "lose-session": Sessions(),
            "fail-requests": SparkRequests(),
        }
    )


if TYPE_CHECKING:
    _ways: HasWays = SparkWays()

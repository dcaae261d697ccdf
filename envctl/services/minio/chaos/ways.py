"""MinIO's own ways, by the names of their faults."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from envctl.services.minio.chaos.requests import MinioRequests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.capabilities import HasWays, Way


class MinioWays:
    """What can be done to its requests."""

    ways: Mapping[str, Way] = MappingProxyType({"fail-requests": MinioRequests()})


if TYPE_CHECKING:
    _ways: HasWays = MinioWays()

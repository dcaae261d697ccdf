"""Removing what a dataset loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.services.redis.seeding.connection import Connection
from envctl.services.redis.seeding.footprint import BLOCK, Footprint
from envctl.services.redis.seeding.scanning import MARK, removed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.model import Endpoint


def clear(at: Endpoint, footprint: Mapping[str, Any]) -> str:
    """Remove every key of a footprint, page by page, and the mark of a load that did not end."""
    with Connection(at) as redis:
        count = remove(redis, Footprint.read(footprint))
    return f"{count:,} key{'' if count == 1 else 's'}"


def remove(redis: Connection, footprint: Footprint) -> int:
    """Remove the keys; how many there were. The mark goes first: without it whatever is left counts for nothing."""
    redis.ask("UNLINK", MARK)
    single, count = footprint.single(), 0
    for start in range(0, len(single), BLOCK):
        count += redis.ask("UNLINK", *single[start : start + BLOCK])
    if footprint.patterns:
        count += sum(1 for _ in removed(redis, footprint.patterns))
    return count

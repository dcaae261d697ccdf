"""Whether the disk has room for a dataset, reckoned before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.errors import NoSpace
from envctl.seeding.scale import below

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FACTORS = {"postgres": 3.0, "kafka": 1.1, "redis": 2.5, "minio": 1.02}
"""Bytes on disk for a byte that travels to the service, at the worst moment. Measured after `medium` was loaded (`du`
of the volumes): PostgreSQL 2.5 (headers, indexes, its log), Kafka 1.03, Redis 1.14 (and as much again while its file is
rewritten), MinIO 1.00."""

OTHERS = 1.0
"""The factor of a service that is not in the list."""

RESERVE = 1.05
"""Of the free space, so much remains: a disk that is filled to the last byte stops every container on it."""


def needed(sizes: Mapping[str, int]) -> int:
    """Bytes on disk for so many bytes by service."""
    return round(sum(size * FACTORS.get(service, OTHERS) for service, size in sizes.items()) * RESERVE)


def check(
    dataset: str, scale: float, sizes: Mapping[str, int], given_back: int, ground: tuple[Path, int] | None
) -> None:
    """Return when there is room for `sizes`, or when nobody can know. `given_back` bytes are removed before.

    Raises:
        NoSpace: with what is needed, what is free, and the scale that would fit.

    """
    want = needed(sizes)
    if ground is None or want <= ground[1] + given_back:
        return
    folder, free = ground[0], ground[1] + given_back
    fits = below(scale * free / want)
    advice = f"free some space, or load less of it with --scale {fits:g}" if fits else "free some space"
    raise NoSpace(
        f"room for dataset {dataset!r} at scale {scale:g}: about {_gigabytes(want)} on disk",
        f"{_gigabytes(free)} free at {folder}",
        advice,
    )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"  # noqa: PLR2004 - below it all are 0.0

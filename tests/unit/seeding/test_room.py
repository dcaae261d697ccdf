"""Room on the disk: what is needed, what is free, and which scale would fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl.errors import NoSpace
from envctl.seeding.room import RESERVE, check, needed

DISK = Path("/var/lib/engine")
GIGABYTE = 10**9


def test_each_service_keeps_more_than_travels_to_it() -> None:
    """Headers, indexes, logs; one that is not known keeps as much as it gets."""
    assert needed({"postgres": 100}) > needed({"minio": 100}) > 100
    assert needed({"other": 100}) == 100 * RESERVE


def test_what_fits_is_let_through() -> None:
    """To the byte; and so is everything where nobody knows what is free."""
    want = needed({"minio": GIGABYTE})
    check("large", 1.0, {"minio": GIGABYTE}, 0, (DISK, want))
    check("large", 1.0, {"minio": GIGABYTE}, want, (DISK, 0))
    check("large", 1.0, {"minio": GIGABYTE}, 0, None)


def test_what_does_not_fit_is_told_with_the_scale_that_would() -> None:
    """Two digits, rounded down, so that it does fit."""
    with pytest.raises(NoSpace) as caught:
        check("large", 1.0, {"minio": 100 * GIGABYTE}, 0, (DISK, 39 * GIGABYTE))
    assert "about 107.1 GB on disk" in caught.value.wanted
    assert caught.value.found == "39.0 GB free at /var/lib/engine"
    assert "--scale 0.36" in caught.value.advice


@pytest.mark.parametrize("scale", [1.0, 0.01, 30.0])
def test_the_scale_that_is_advised_fits(scale: float) -> None:
    """Whatever the scale was that did not."""
    with pytest.raises(NoSpace) as caught:
        check("large", scale, {"kafka": 10 * GIGABYTE}, 0, (DISK, 7 * GIGABYTE))
    advised = float(caught.value.advice.rpartition(" ")[2])
    assert advised < scale
    check("large", advised, {"kafka": int(10 * GIGABYTE * advised / scale)}, 0, (DISK, 7 * GIGABYTE))


def test_on_a_full_disk_no_scale_is_advised() -> None:
    """None would fit."""
    with pytest.raises(NoSpace) as caught:
        check("small", 1.0, {"redis": 1000}, 0, (DISK, 0))
    assert caught.value.advice == "free some space"

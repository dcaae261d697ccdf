"""What can be done to which service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.chaos import listing
from envctl.errors import UnknownName

if TYPE_CHECKING:
    from tests.unit.chaos.toys import ToyWard


def test_a_service_that_is_not_there_is_told_with_the_nearest(ward: ToyWard) -> None:
    """Instead of an empty table."""
    with pytest.raises(UnknownName, match="postgres"):
        listing.rows(ward, ["redis", "postgers"])

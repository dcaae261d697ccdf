"""Where Kafka keeps a consumer group."""

from __future__ import annotations

import pytest

from envctl.services.kafka.chaos.groups import partition_of


@pytest.mark.parametrize(
    ("name", "hashed"),
    [("", 0), ("a", 97), ("hello", 99162322), ("polygenelubricants", -(2**31)), ("ä€", 228 * 31 + 0x20AC)],
)
def test_a_group_is_in_the_partition_that_javas_hash_of_its_name_says(name: str, hashed: int) -> None:
    """Kafka drops the sign, so that the smallest number counts as 0."""
    assert partition_of(name, 50) == (hashed & 0x7FFFFFFF) % 50

"""The settings of topics: what Kafka would refuse is refused before it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.seeding.spec import settings

if TYPE_CHECKING:
    from tests.unit.seeding.spec.conftest import Problems, Read


def test_settings_of_topics_are_those_of_kafka() -> None:
    """Each once, whatever values it takes."""
    assert len(set(settings.NAMES)) == len(settings.NAMES)


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("retention.ms: soon", "must be a whole number from -1 on; found 'soon'"),
        ("retention.ms: -2", "must be a whole number from -1 on; found '-2'"),
        ("retention.ms: 1_000", "must be a whole number from -1 on; found '1_000'"),
        ("segment.bytes: 2147483648", "must be a whole number from 14 on; found '2147483648'"),
        ("compression.lz4.level: 18", "must be a whole number from 1 to 17; found '18'"),
        ("compression.type: none", "must be one of uncompressed, zstd, lz4, snappy, gzip, producer; found 'none'"),
        ("preallocate: yes", "must be true or false; found 'yes'"),
        ("cleanup.policy: both", "must be compact, delete, or both with a comma between; found 'both'"),
        ("min.cleanable.dirty.ratio: 1.5", "must be a number from 0 to 1; found '1.5'"),
        ("retention.ms: null", "is empty"),
    ],
)
def test_a_value_that_kafka_would_refuse_is_named_with_its_line(problems: Problems, setting: str, wanted: str) -> None:
    """Before a broker is asked."""
    key = setting.partition(":")[0]
    assert problems(f"kafka: {{topics: {{t: {{\nconfig: {{{setting}}}}}}}}}") == [
        f"2: kafka.topics.t.config.{key}: {wanted}"
    ]


@pytest.mark.parametrize(
    "setting",
    ["retention.ms: +5", "cleanup.policy: 'compact, delete'", "preallocate: TRUE", "min.cleanable.dirty.ratio: 5e-1"],
)
def test_a_value_that_kafka_takes_is_taken(read: Read, setting: str) -> None:
    """However it is written."""
    assert read(f"kafka: {{topics: {{t: {{config: {{{setting}}}}}}}}}").topics["t"].config

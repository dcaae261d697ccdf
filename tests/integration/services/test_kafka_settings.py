"""Values of topics' settings: a dataset's check refuses what the broker would refuse, and takes what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.seeding.spec import Topic, settings
from envctl.services.kafka import Kafka
from envctl.services.kafka.seeding import admin
from envctl.services.kafka.seeding.client import session
from envctl.services.zookeeper import ZooKeeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.integration.services.conftest import Running

pytestmark = pytest.mark.usefixtures("state_home")

BESIDE = ("", " 5 ", "+5", "-0", "soon", "1_000", "1.5", "0x10", "1e3", "007")
WORDS = ("", "TRUE", " false ", "yes", "on", "1", "none", "Compact")
POLICIES = ("compact", "delete", "compact,delete", "delete , compact", "compact;delete", "both", "Compact")
RATIOS = ("0", "1", ".5", "1.", "5e-1", "-0.1", "1.1", "half", "")
REMOTE = frozenset({"remote.storage.enable", "remote.log.copy.disable", "remote.log.delete.on.disable"})
"""What they take depends on the broker besides: none of ours has storage elsewhere."""


@pytest.fixture(scope="module")
def broker(running_service: Callable[..., AbstractContextManager[Running]]) -> Iterator[Running]:
    """One broker, which is only asked."""
    with running_service(Kafka(), ZooKeeper()) as server:
        yield server.ready()


def tried(name: str) -> list[str]:
    """Values at the edges of what a setting takes, and others that somebody may write."""
    if name in settings.WHOLE:
        least, most = settings.WHOLE[name]
        return [*map(str, (least - 1, least, most, most + 1)), *BESIDE]
    if name in settings.CHOICES:
        return [*settings.CHOICES[name], *(choice.swapcase() for choice in settings.CHOICES[name]), "0", "10", *WORDS]
    if name in settings.TRUTHS:
        return [*WORDS, *(() if name in REMOTE else ("true",)), "false"]
    return list({settings.POLICY: POLICIES, settings.RATIO: RATIOS}.get(name, ()))


def test_the_check_of_settings_agrees_with_the_broker(broker: Running) -> None:
    """For each setting at the edges of what it takes; each by a topic that is only asked for."""
    asked = [(name, value) for name in settings.NAMES for value in dict.fromkeys(tried(name))]
    known = [(name, value) for name, value in asked if not (name in REMOTE and value.strip().lower() == "true")]
    topics = [Topic(f"asked-{number}", config={name: value}) for number, (name, value) in enumerate(known)]
    refused: set[str] = set()
    with session(broker.at) as at:
        for start in range(0, len(topics), 50):
            refused |= admin.create(at, topics[start : start + 50], try_only=True).keys()
    said = {topic.name for topic, (name, value) in zip(topics, known, strict=True) if settings.refusal(name, value)}
    assert 0 < len(said) < len(topics)
    differ = {known[int(name.partition("-")[2])] for name in refused ^ said}
    assert differ == set()

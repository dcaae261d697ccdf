"""What producers send is refused for the broker's own reasons, and taken again by the topics' own settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.errors import ConfigurationError, FaultConflict, FaultUnfit, UnknownName
from envctl.services.kafka.chaos import settings
from tests.integration.chaos.kafka_clients import admin, drop, make, producer, receive, record, refusal, send

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from envctl.environment import Environment

# kafka-python reads its schemas in a way that Python 3.11 and 3.12 deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning")

SERVICES = ["kafka"]
ERRORS = {"record-too-large": "MessageSizeTooLargeError", "not-enough-replicas": "NotEnoughReplicasError"}
REASONS = pytest.mark.parametrize("reason", ERRORS)


@REASONS
def test_live_and_new_producers_are_refused_and_the_live_one_goes_on(env: Environment, reason: str) -> None:
    """In every partition; a consumer reads on, and another topic takes what is sent."""
    topic, other = make(env, partitions=2), make(env)
    with producer(env) as live, producer(env, acks=1) as careless:
        consumer = env.kafka.consumer(topic)
        send(live, topic), send(careless, topic)
        assert len(receive(consumer)) >= 1
        with env.chaos.reject_produce("kafka", topic=topic, reason=reason, duration="1h") as fault:
            for partition in (0, 1):
                assert refusal(send, live, topic, partition=partition) == ERRORS[reason]
            with producer(env) as new:
                assert refusal(send, new, topic) == ERRORS[reason]
            assert refusal(send, careless, topic) == (ERRORS[reason] if reason == "record-too-large" else "")
            send(live, other)
        assert send(live, topic) == (2 if reason == "record-too-large" else 3)
        receive(consumer)
        consumer.close()
    assert fault.evidence == {"refused": {topic: "MESSAGE_TOO_LARGE" if "large" in reason else "NOT_ENOUGH_REPLICAS"}}


def test_a_limit_refuses_what_is_larger_and_takes_what_is_not(env: Environment) -> None:
    """The size is a batch's, with its head."""
    topic = make(env)
    with producer(env) as live, env.chaos.reject_produce("kafka", topic=topic, limit="1KiB"):
        send(live, topic, value=bytes(900))
        assert refusal(send, live, topic, value=bytes(1100)) == "MessageSizeTooLargeError"


@REASONS
def test_every_topic_has_its_own_settings_again_to_the_byte(env: Environment, reason: str) -> None:
    """One that had the setting, one that had another, one that had none."""
    topics = [make(env), make(env, max_message_bytes="2000", min_insync_replicas="1"), make(env, retention_ms="600000")]
    before = [record(env, f"/config/topics/{topic}") for topic in topics]
    with env.chaos.reject_produce("kafka", topic=",".join(topics), reason=reason):
        assert [record(env, f"/config/topics/{topic}") for topic in topics] != before
    assert [record(env, f"/config/topics/{topic}") for topic in topics] == before


def test_without_a_name_it_is_all_topics_of_the_tests(env: Environment) -> None:
    """That of envctl itself takes records meanwhile: Kafka stays ready."""
    topics = {make(env), make(env)}
    with env.chaos.reject_produce("kafka") as fault:
        assert topics <= fault.evidence["refused"].keys()
        assert not [name for name in fault.evidence["refused"] if name.startswith("__")]
        env.wait(["kafka"])


@REASONS
def test_an_injector_that_is_killed_leaves_nothing_behind(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
    reason: str,
) -> None:
    """The warden heals it."""
    topic = make(env)
    before = record(env, f"/config/topics/{topic}")
    lines = f"env.chaos.reject_produce('kafka', topic={topic!r}, reason={reason!r}, duration='1h').__enter__()"
    with injected(lines) as other, producer(env) as live:
        assert refusal(send, live, topic) == ERRORS[reason]
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
        send(live, topic)
    assert record(env, f"/config/topics/{topic}") == before


def test_what_a_test_changes_meanwhile_stays_and_what_it_deletes_is_told(env: Environment) -> None:
    """A topic that was made anew has nothing to be given back; with all gone, it is lost."""
    changed, gone = make(env), make(env)
    with env.chaos.reject_produce("kafka", topic=f"{changed},{gone}") as fault:
        with admin(env) as connection:
            settings.write(connection, "max.message.bytes", {changed: "5000"})
        drop(env, gone)
        make(env, name=gone, max_message_bytes="0")
    assert fault.heal().evidence == {"settings": "equal", "topics": 2, "changed_meanwhile": [changed], "gone": [gone]}
    with admin(env) as connection:
        now = settings.read(connection, [changed, gone], "max.message.bytes")
    assert now == {changed: ("5000", True), gone: ("0", True)}
    last = env.chaos.reject_produce("kafka", topic=changed, reason="not-enough-replicas")
    drop(env, changed)
    assert last.heal().stage == "lost"


@REASONS
def test_a_restart_of_the_broker_meanwhile_keeps_nothing_from_healing(env: Environment, reason: str) -> None:
    """The setting outlives it, the second replica does not."""
    topic = make(env)
    before = record(env, f"/config/topics/{topic}")
    fault = env.chaos.reject_produce("kafka", topic=topic, reason=reason, duration="1h")
    env.chaos.restart("kafka", graceful=False).heal()
    with producer(env) as live:
        assert refusal(send, live, topic) == (ERRORS[reason] if reason == "record-too-large" else "")
        assert fault.heal().stage == "healed"
        send(live, topic)
    assert record(env, f"/config/topics/{topic}") == before


def test_what_cannot_be_is_refused_by_name(env: Environment) -> None:
    """All that is wrong at once, and before anything is touched."""
    topic = make(env, name="invoices")
    with pytest.raises(ConfigurationError) as wrong:
        env.chaos.reject_produce("kafka", reason="too-small", limit="3GiB")
    assert "--reason: wanted one of record-too-large, not-enough-replicas, found 'too-small'" in str(wrong.value)
    assert "--limit: wanted" in str(wrong.value)
    with pytest.raises(ConfigurationError, match="--limit: wanted a size such as"):
        env.chaos.reject_produce("kafka", limit="much")
    with pytest.raises(UnknownName, match="did you mean 'invoices'"):
        env.chaos.reject_produce("kafka", topic="invoice")
    with env.chaos.reject_produce("kafka", topic=topic), pytest.raises(FaultConflict):
        env.chaos.reject_produce("kafka", topic=topic, reason="not-enough-replicas")
    with pytest.raises(FaultUnfit, match="has no way to do this"):
        env.chaos.reject_produce("zookeeper")
    assert env.chaos.status() == []


def _assert(truth: bool) -> None:
    assert truth

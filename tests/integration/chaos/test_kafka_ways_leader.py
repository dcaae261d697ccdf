"""Nobody leads a topic's partitions; then an election gives them their leader back, with all their records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from envctl.errors import FaultConflict, FaultDidNotBite, FaultUnfit, UnknownName
from envctl.protocols import NotReady
from envctl.services.kafka import requests
from envctl.services.kafka.chaos import controlling
from tests.integration.chaos.kafka_clients import admin, drop, make, producer, receive, record, refusal, send

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from envctl.environment import Environment

# kafka-python reads its schemas in a way that Python 3.11 and 3.12 deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning")

SERVICES = ["kafka"]


def leader(env: Environment, topic: str, partition: int = 0) -> dict[str, object]:
    """ZooKeeper's record of who leads, without the epochs."""
    state = json.loads(record(env, f"/brokers/topics/{topic}/partitions/{partition}/state"))
    return {key: value for key, value in state.items() if not key.endswith("epoch")}


def test_live_and_new_clients_have_no_leader_and_the_live_ones_go_on(env: Environment) -> None:
    """Nothing that was acknowledged is lost, and nothing comes twice; another topic is served meanwhile."""
    topic, other = make(env), make(env)
    with producer(env) as live, producer(env) as new:
        consumer = env.kafka.consumer(topic, group_id="readers", max_poll_records=1)
        assert [send(live, topic, value=value) for value in (b"one", b"two")] == [0, 1]
        assert receive(consumer)[0].value == b"one"
        with env.chaos.lose_leader("kafka", topic=topic, duration="1h") as fault:
            assert fault.evidence["partitions"] == [f"{topic}-0"]
            assert refusal(send, live, topic) == "NotLeaderForPartitionError"
            assert refusal(send, new, topic, 3) == "KafkaTimeoutError"
            fresh = env.kafka.consumer(topic)
            assert not fresh.poll(timeout_ms=2000)
            assert send(live, other) == 0
            env.wait(["kafka"])
        # What the new one could not send in its 3 s, it still has.
        assert send(live, topic, value=b"last") >= 2
        assert [one.value for one in receive(consumer, 2)][:1] == [b"two"]
        assert receive(fresh, 3)[0].value == b"one"
        consumer.close(), fresh.close()
    assert fault.heal().evidence == {"leaders": {f"{topic}-0": 1}, "elections": 1, "records": "all there"}


def test_one_partition_of_several(env: Environment) -> None:
    """The others are led as before, and ZooKeeper's record of all is as it was, but for the epochs."""
    topic = make(env, partitions=3)
    before = [leader(env, topic, number) for number in range(3)]
    with producer(env) as live:
        send(live, topic, partition=1)
        with env.chaos.lose_leader("kafka", topic=topic, partition=1):
            assert [send(live, topic, partition=number) for number in (0, 2)] == [0, 0]
            assert refusal(send, live, topic, partition=1) == "NotLeaderForPartitionError"
        assert [send(live, topic, partition=number) for number in range(3)] == [1, 1, 1]
    assert [leader(env, topic, number) for number in range(3)] == before


def test_again_and_again_on_one_topic(env: Environment) -> None:
    """Each time it heals: epochs and versions go on."""
    topic = make(env, partitions=2)
    for _ in range(4):
        with env.chaos.lose_leader("kafka", topic=topic), producer(env) as new:
            assert refusal(send, new, topic, 1) == "KafkaTimeoutError"
        with env.chaos.reject_produce("kafka", topic=topic, reason="not-enough-replicas"):
            pass
        with producer(env) as new:
            send(new, topic)


@pytest.mark.parametrize("step", ["lead", "stand_still"])
def test_an_injection_that_breaks_off_is_undone(env: Environment, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """After the broker was told of one that is none, and after nobody leads."""
    topic = make(env)

    def break_off(*_: object) -> None:
        raise NotReady("broken off")

    monkeypatch.setattr(controlling, step, break_off)
    with pytest.raises(FaultDidNotBite, match="broken off"):
        env.chaos.lose_leader("kafka", topic=topic)
    assert env.chaos.status() == []
    with admin(env) as connection:
        assert len(requests.metadata(connection).brokers) == 1
    with producer(env) as new:
        send(new, topic)


def test_an_injector_that_is_killed_leaves_nothing_behind(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """The warden heals it."""
    topic = make(env)
    with injected(f"env.chaos.lose_leader('kafka', topic={topic!r}, duration='1h').__enter__()") as other:
        with producer(env) as new:
            assert refusal(send, new, topic, 1) == "KafkaTimeoutError"
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    with producer(env) as new:
        send(new, topic)


def test_a_restart_of_the_broker_or_the_end_of_the_topic_makes_it_lost(env: Environment) -> None:
    """Topics made and deleted meanwhile are Kafka's own business; a topic that is gone has no leader to get back."""
    topic, doomed = make(env), make(env)
    first = env.chaos.lose_leader("kafka", topic=doomed, duration="1h")
    drop(env, doomed)
    assert first.heal().stage == "lost"
    second = env.chaos.lose_leader("kafka", topic=topic, duration="1h")
    env.chaos.restart("kafka", graceful=False).heal()
    with producer(env) as new:
        send(new, topic)
    assert second.heal().stage == "lost"


def test_what_cannot_be_is_refused_by_name(env: Environment) -> None:
    """Nothing is touched."""
    make(env, name="invoices"), make(env, name="orders")
    with pytest.raises(UnknownName, match="did you mean 'invoices'"):
        env.chaos.lose_leader("kafka", topic="invoice")
    with pytest.raises(FaultUnfit, match="name it with --topic"):
        env.chaos.lose_leader("kafka")
    with pytest.raises(FaultUnfit, match="it has 0 to 0"):
        env.chaos.lose_leader("kafka", topic="orders", partition=1)
    with env.chaos.lose_leader("kafka", topic="orders"), pytest.raises(FaultConflict):
        env.chaos.reject_produce("kafka", topic="invoices", reason="not-enough-replicas")
    assert env.chaos.status() == []


def _assert(truth: bool) -> None:
    assert truth

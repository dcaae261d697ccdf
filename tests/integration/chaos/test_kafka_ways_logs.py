"""Records that consumers cannot digest, and records that are gone before they were read."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from kafka.serializer import Deserializer

from envctl.errors import ConfigurationError, FaultUnfit, UnknownName
from envctl.protocols import NotReady
from envctl.services.kafka.chaos import deletion, topics
from envctl.waiting import until
from tests.integration.chaos.kafka_clients import PATIENCE, admin, drop, make, producer, receive, record, send

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from kafka import KafkaConsumer

    from envctl.environment import Environment

# kafka-python reads its schemas in a way that Python 3.11 and 3.12 deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning")

SERVICES = ["kafka"]
KINDS = ["garbage", "null", "empty", "cut-json", "large-header"]


def filled(env: Environment, count: int, partitions: int = 1, **settings: str) -> str:
    """A topic with so many records in each partition."""
    topic = make(env, partitions=partitions, **settings)
    with producer(env) as one:
        for number in range(count * partitions):
            send(one, topic, value=json.dumps(number).encode(), partition=number % partitions)
    return topic


def poll_on(consumer: KafkaConsumer) -> None:
    """Until it has something, or fails."""
    while not consumer.poll(timeout_ms=1000):
        pass


def extent(env: Environment, topic: str, partition: int = 0) -> tuple[int, int]:
    """Where the log begins, and where the next record will be."""
    with admin(env) as connection:
        return topics.first_and_end(connection, topic, [partition])[partition]


class Json(Deserializer):  # type: ignore[misc]
    """What consumers that expect JSON do with a value."""

    def deserialize(self, topic: str, headers: object, data: bytes) -> object:
        """What it says."""
        del topic, headers
        return json.loads(data.decode())


@pytest.mark.parametrize("kind", KINDS)
def test_poison_lies_where_the_evidence_says(env: Environment, kind: str) -> None:
    """A consumer that decodes chokes on it, live and anew, until it seeks past; it stays, and that is told."""
    topic = filled(env, 2)
    live = env.kafka.consumer(topic, group_id=f"live-{kind}", value_deserializer=Json(), enable_auto_commit=False)
    with closing(live), producer(env) as sender:
        receive(live, 2)
        with env.chaos.poison_record("kafka", topic=topic, kind=kind, duration="1h") as fault:
            assert (fault.evidence["topic"], fault.evidence["partition"], fault.evidence["offset"]) == (topic, 0, 2)
            send(sender, topic, value=b"3")
            with closing(env.kafka.consumer(topic, auto_offset_reset="earliest")) as raw:
                poison = receive(raw, 4)[2]
            assert poison.key.decode() == fault.evidence["key"]
            if kind == "large-header":
                assert len(poison.headers[0][1]) == 64 << 10
            else:
                with pytest.raises((ValueError, AttributeError)):
                    receive(live, 2)
                live.seek(next(iter(live.assignment())), fault.evidence["offset"] + 1)
            assert receive(live)[-1].value == 3
    assert fault.heal().evidence == {
        "record": "stays: consumers must skip it",
        "topic": topic,
        "partition": 0,
        "offset": 2,
    }


def test_poison_that_nothing_precedes_is_taken_out_again(env: Environment) -> None:
    """The topic is empty then, or begins with what came after it."""
    for after in (0, 2):
        topic = make(env)
        with env.chaos.poison_record("kafka", topic=topic) as fault, producer(env) as sender:
            for _ in range(after):
                send(sender, topic)
        assert fault.heal().evidence == {"record": "gone, or not to be found"}
        assert extent(env, topic) == (1, 1 + after)


def test_what_kafka_itself_cannot_take_out_stays(env: Environment) -> None:
    """A compacted topic takes it, as it has a key, and keeps it."""
    topic = make(env, cleanup_policy="compact")
    with env.chaos.poison_record("kafka", topic=topic, kind="null") as fault:
        pass
    assert fault.heal().evidence["offset"] == 0
    assert extent(env, topic) == (0, 1)


def test_the_seed_chooses_the_partition(env: Environment) -> None:
    """The same seed, the same one; one that is named is that one."""
    topic = make(env, partitions=8)
    chosen = []
    for seed in (7, 7, 8, 9, 10):
        with env.chaos.poison_record("kafka", topic=topic, seed=seed) as fault:
            chosen.append(fault.evidence["partition"])
    assert chosen[0] == chosen[1]
    assert len(set(chosen)) > 1
    with env.chaos.poison_record("kafka", topic=topic, partition=5) as fault:
        assert fault.evidence["partition"] == 5


def test_an_injector_that_is_killed_leaves_no_poison_in_an_empty_topic(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """The warden finds it by its key."""
    topic = make(env)
    with injected(f"env.chaos.poison_record('kafka', topic={topic!r}, duration='1h').__enter__()") as other:
        assert extent(env, topic) == (0, 1)
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    assert extent(env, topic) == (1, 1)


def test_a_lagging_consumer_finds_its_place_gone(env: Environment) -> None:
    """By its own setting it goes on at the first record that is left, at the next, or fails."""
    from kafka.errors import OffsetOutOfRangeError

    topic = filled(env, 10)
    before = record(env, f"/config/topics/{topic}")
    consumers = {
        reset: env.kafka.consumer(
            topic,
            group_id=f"lag-{reset}",
            auto_offset_reset="earliest",
            max_poll_records=1,
            max_partition_fetch_bytes=1,
        )
        for reset in ("earliest", "latest", "none")
    }
    for consumer in consumers.values():
        assert receive(consumer)[0].offset == 0
        consumer.commit()
        consumer.close()
    fault = env.chaos.truncate_log("kafka", topic=topic, keep=3)
    assert fault.evidence == {"gone_for_good": 7, "offsets": {f"{topic}-0": "0 to 6"}}
    lagging = {
        reset: env.kafka.consumer(topic, group_id=f"lag-{reset}", auto_offset_reset=reset) for reset in consumers
    }
    assert receive(lagging["earliest"], 3)[0].offset == 7
    until(lambda: _at_the_end(lagging["latest"], 10), PATIENCE, "it is where the next record will be")
    with pytest.raises(OffsetOutOfRangeError):
        poll_on(lagging["none"])
    with producer(env) as sender:
        assert send(sender, topic) == 10
    assert receive(lagging["latest"])[0].offset == 10
    for consumer in lagging.values():
        consumer.close()
    assert fault.heal().evidence == fault.evidence
    assert record(env, f"/config/topics/{topic}") == before


def _at_the_end(consumer: KafkaConsumer, end: int) -> None:
    assert consumer.poll(timeout_ms=500) == {}
    if (places := [consumer.position(at) for at in consumer.assignment()]) != [end]:
        raise NotReady(f"it is at {places}")


def test_only_what_is_asked_for_is_deleted(env: Environment) -> None:
    """One partition of two; then all of both, the shorter too."""
    topic = filled(env, 4, partitions=2)
    env.chaos.truncate_log("kafka", topic=topic, partition=1, keep=1).heal()
    assert [extent(env, topic, number) for number in (0, 1)] == [(0, 4), (3, 4)]
    fault = env.chaos.truncate_log("kafka", topic=topic)
    assert fault.evidence["gone_for_good"] == 5
    assert [extent(env, topic, number) for number in (0, 1)] == [(4, 4), (4, 4)]
    assert fault.heal().stage == "healed"


def test_a_topic_that_is_deleted_or_truncated_meanwhile(env: Environment) -> None:
    """Gone, there is nothing to heal; truncated, the poison is away."""
    topic = filled(env, 2)
    fault = env.chaos.poison_record("kafka", topic=topic)
    with admin(env) as connection:
        deletion.delete_before(connection, topic, {0: 3})
    assert fault.heal().evidence == {"record": "gone, or not to be found"}
    fault = env.chaos.poison_record("kafka", topic=topic)
    drop(env, topic)
    assert fault.heal().stage == "lost"


@pytest.mark.parametrize(("fault", "clean"), [("stop", True), ("kill", False)])
def test_a_killed_broker_must_recover_its_logs_and_has_every_record(env: Environment, fault: str, clean: bool) -> None:
    """An unclean restart: without the file of a clean shutdown Kafka looks through its logs when it starts."""
    topic = filled(env, 5)
    with env.chaos.call(fault, "kafka", {}, duration="5m"):
        where = f"envctl-{env.name}-kafka-1:/var/lib/kafka/data/.kafka_cleanshutdown"
        copied = subprocess.run(["docker", "cp", where, "-"], capture_output=True, check=False)
        assert (copied.returncode == 0) == clean
    with closing(env.kafka.consumer(topic)) as consumer:
        assert [one.offset for one in receive(consumer, 5)] == [0, 1, 2, 3, 4]


def test_what_cannot_be_is_refused_by_name(env: Environment) -> None:
    """Nothing is written, nothing is deleted."""
    make(env, name="invoices", cleanup_policy="compact"), make(env, name="orders")
    for fault in ("poison-record", "truncate-log"):
        with pytest.raises(UnknownName, match="did you mean 'invoices'"):
            env.chaos.call(fault, "kafka", {"topic": "invoice"})
        with pytest.raises(FaultUnfit, match="name it with --topic"):
            env.chaos.call(fault, "kafka", {})
        with pytest.raises(FaultUnfit, match="it has 0 to 0"):
            env.chaos.call(fault, "kafka", {"topic": "orders", "partition": 1})
        with pytest.raises(ConfigurationError, match="--partition: wanted a whole number"):
            env.chaos.call(fault, "kafka", {"topic": "orders", "partition": -1})
    with pytest.raises(ConfigurationError, match="--kind: wanted one of garbage, null"):
        env.chaos.poison_record("kafka", topic="orders", kind="bitter")
    with pytest.raises(FaultUnfit, match="the longest has 0"):
        env.chaos.truncate_log("kafka", topic="orders")
    with pytest.raises(FaultUnfit, match=r"cleanup\.policy of invoices with delete"):
        env.chaos.truncate_log("kafka", topic="invoices")
    assert extent(env, "orders") == (0, 0)
    assert env.chaos.status() == []


def _assert(truth: bool) -> None:
    assert truth

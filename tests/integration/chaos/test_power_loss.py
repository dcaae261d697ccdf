"""The power fails when the fault ends: what a service has forced to its disk is there, what it has not is gone."""

from __future__ import annotations

import io
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from envctl.chaos.ward import Ward
from envctl.services.kafka.chaos.zookeeper import ZooKeeperSession
from envctl.services.redis.chaos.conversation import Conversation
from tests.integration.chaos.kafka_clients import record

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from envctl.chaos.injection import Injection
    from envctl.environment import Environment

    Elsewhere = Callable[[str], AbstractContextManager[subprocess.Popen[str]]]
    Eventually = Callable[[Callable[[], object]], None]

SERVICES = ["redis", "kafka", "minio"]
LASTS = "300s"


@pytest.fixture(autouse=True)
def whole(env: Environment) -> Iterator[None]:
    """Everything answers, before and after."""
    yield
    for service in (*SERVICES, "zookeeper"):
        env.wait_recovered(service, timeout=240)


def proven(loss: Injection) -> bool:
    """Whether of two words that were written to the disk, the one that was forced is all that it remembers."""
    assert loss.healed is not None
    found = loss.healed.evidence
    return bool(found["forced"] and found["forgotten"])


def appends(env: Environment, policy: str) -> None:
    """Have Redis force its file so often."""
    at = Ward(env.name).site("redis").at
    assert at.admin is not None
    with Conversation(at, at.admin) as server:
        server.ask("CONFIG", "SET", "appendfsync", policy)


def test_redis_keeps_what_it_forces(env: Environment) -> None:
    """With `appendfsync always` an acknowledged write is there; and what was before."""
    with env.redis.client() as client:
        client.set("before", "1")
    with env.chaos.power_loss("redis", duration=LASTS) as loss:
        appends(env, "always")
        with env.redis.client() as client:
            assert client.set("acknowledged", "1")
    assert proven(loss)
    with env.redis.client() as client:
        assert client.exists("before", "acknowledged") == 2


def test_kafka_loses_what_it_has_acknowledged_and_not_flushed(env: Environment) -> None:
    """With all the acknowledgements that one broker can give; what was there before is there, and it takes more."""
    topic = "power"
    _produce(env, topic, b"before")
    with env.chaos.power_loss("kafka", duration=LASTS) as loss:
        _produce(env, topic, b"acknowledged")
    assert proven(loss)
    assert _consumed(env, topic) == [b"before"]
    _produce(env, topic, b"after")
    assert _consumed(env, topic) == [b"before", b"after"]


def test_zookeeper_keeps_what_it_has_acknowledged(env: Environment) -> None:
    """Its log is on a volume of its own, whose disk fails with the other."""
    at = env.zookeeper.endpoint
    with env.chaos.power_loss("zookeeper", duration=LASTS) as loss:
        assert len(loss.evidence["disks"]) == 2
        with ZooKeeperSession(at.host, at.port, 30) as session:
            session.put("/acknowledged", b"1", None)
    assert proven(loss)
    assert record(env, "/acknowledged") == b"1"


def test_minio_has_what_was_there_before_and_takes_more(env: Environment) -> None:
    """What it acknowledged last may be gone: it leaves names to the kernel unless MINIO_FS_OSYNC says otherwise."""
    store, bucket = env.minio.client(), env.minio.bucket
    store.put_object(bucket, "before", io.BytesIO(b"1"), 1)
    with env.chaos.power_loss("minio", duration=LASTS) as loss:
        store.put_object(bucket, "acknowledged", io.BytesIO(b"2"), 1)
    assert proven(loss)
    store.put_object(bucket, "after", io.BytesIO(b"3"), 1)
    assert {found.object_name for found in store.list_objects(bucket)} - {"acknowledged"} == {"before", "after"}
    assert store.get_object(bucket, "before").data == b"1"


def test_killed_with_the_power_on_it_fails_and_comes_back(
    env: Environment, injected: Elsewhere, eventually: Eventually
) -> None:
    """Healed by the warden, who lets it fail."""
    with injected("env.chaos.power_loss('redis', duration='1h').__enter__()") as other:
        appends(env, "always")
        with env.redis.client() as client:
            client.set("kept", "1")
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    with env.redis.client() as client:
        assert client.exists("kept") == 1


def _produce(env: Environment, topic: str, value: bytes) -> None:
    with closing(env.kafka.producer(acks="all")) as producer:
        producer.send(topic, value, partition=0).get(60)


def _consumed(env: Environment, topic: str) -> list[bytes]:
    from kafka import TopicPartition

    with closing(env.kafka.consumer(auto_offset_reset="earliest", enable_auto_commit=False)) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        [end] = consumer.end_offsets([partition]).values()
        consumer.seek_to_beginning(partition)
        found: list[bytes] = []
        while consumer.position(partition) < end:
            found += [one.value for some in consumer.poll(1000).values() for one in some]
        return found


def _assert(condition: bool) -> None:
    assert condition

"""Kafka and ZooKeeper end at the first write that their disk refuses: that is what users see, and how it is healed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from kafka.errors import KafkaError

from envctl.protocols import NotReady
from envctl.waiting import until
from tests.integration.chaos import kafka_clients

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker
    from kafka import KafkaProducer

    from envctl.environment import Environment

SERVICES = ["zookeeper", "kafka"]
TOPIC = "disk-test"

# kafka-python leaves the sockets of a broker that went to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def sent(producer: KafkaProducer, value: bytes) -> None:
    """Acknowledged; tried again, as one that gives up soon may have been looking for the broker when it came back."""

    def send() -> None:
        try:
            producer.send(TOPIC, value).get(30)
        except KafkaError as error:
            raise NotReady(repr(error)) from error

    until(send, 120, "it is acknowledged")


def test_a_full_disk_ends_the_broker_and_what_it_acknowledged_is_there_afterwards(
    env: Environment, engine: docker.DockerClient, eventually: Callable[[Callable[[], object]], None]
) -> None:
    """It gives up its only log directory; the same container is started again."""
    container = engine.containers.get(f"envctl-{env.name}-kafka-1")
    kafka_clients.make(env, name=TOPIC)
    producer = env.kafka.producer(retries=0, max_block_ms=5000, request_timeout_ms=5000, delivery_timeout_ms=5000)
    sent(producer, b"before")
    with env.chaos.disk_full("kafka") as full:
        assert "KAFKA_STORAGE_ERROR" in full.evidence["write"] or "closed" in full.evidence["write"]
        with pytest.raises(KafkaError):
            producer.send(TOPIC, b"during").get(30)
        eventually(lambda: _is(container, "exited"))
    assert full.healed
    assert full.healed.evidence["restarted"]
    env.wait_recovered("kafka", timeout=120)
    sent(producer, b"after")
    producer.close()
    consumer = env.kafka.consumer(TOPIC, auto_offset_reset="earliest")
    values = [one.value for one in kafka_clients.receive(consumer, 2)]
    consumer.close()
    assert list(dict.fromkeys(values)) == [b"before", b"after"]


def test_a_slow_disk_makes_producers_wait(env: Environment) -> None:
    """Each batch is written before it is acknowledged."""
    producer = env.kafka.producer()
    producer.send(TOPIC, b"warm").get(120)
    with env.chaos.slow_disk("kafka", latency="500ms") as slow:
        begin = time.monotonic()
        producer.send(TOPIC, b"slow").get(60)
        assert time.monotonic() - begin >= 0.5
    assert slow.healed
    assert not slow.healed.evidence["restarted"]
    producer.close()


def test_a_disk_that_refuses_ends_zookeeper_and_kafka_works_again_after_it(
    env: Environment, engine: docker.DockerClient, eventually: Callable[[Callable[[], object]], None]
) -> None:
    """Its log has room that was taken before, so that every write is refused."""
    container = engine.containers.get(f"envctl-{env.name}-zookeeper-1")
    with env.chaos.disk_full("zookeeper"):
        eventually(lambda: _is(container, "exited"))
    env.wait_recovered("zookeeper", timeout=120)
    env.wait_recovered("kafka", timeout=120)


def _is(container: docker.models.containers.Container, state: str) -> None:
    container.reload()
    assert container.status == state

"""What the tests of Kafka's own ways share: topics, clients that do not try again, and looks at its records."""

from __future__ import annotations

import secrets
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, ParamSpec

from envctl.protocols import NotReady
from envctl.services.kafka.chaos.zookeeper import ZooKeeperSession
from envctl.services.kafka.sasl import login_plain
from envctl.services.kafka.wire import Connection
from envctl.services.wire import admin_of
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kafka import KafkaConsumer, KafkaProducer

    from envctl.environment import Environment

P = ParamSpec("P")

PATIENCE = 60


@contextmanager
def admin(env: Environment) -> Iterator[Connection]:
    """A connection as envctl."""
    at = env.kafka.endpoint
    with Connection(at.host, at.ports["sasl"], 30) as connection:
        login_plain(connection, admin_of(at))
        yield connection


def make(env: Environment, partitions: int = 1, name: str = "", **settings: str) -> str:
    """A topic that is there for clients, too; its name. Settings with _ for a dot."""
    from kafka.admin import NewTopic
    from kafka.errors import TopicAlreadyExistsError

    name = name or f"t{secrets.token_hex(4)}"
    configs = {key.replace("_", "."): value for key, value in settings.items()}

    def made() -> None:
        try:
            tool.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
        except TopicAlreadyExistsError as error:
            raise NotReady("an earlier one is still being deleted") from error

    with closing(env.kafka.admin()) as tool:
        until(made, PATIENCE, f"topic {name}")
    return name


def drop(env: Environment, *topics: str) -> None:
    """Delete topics, until they are gone."""
    with closing(env.kafka.admin()) as tool:
        if topics:
            tool.delete_topics(list(topics))

        def gone() -> None:
            if left := set(topics) & set(tool.list_topics()):
                raise NotReady(f"{left} are there")

        until(gone, PATIENCE, "the topics are gone")


def record(env: Environment, path: str) -> bytes:
    """What ZooKeeper holds there."""
    at = env.zookeeper.endpoint
    with ZooKeeperSession(at.host, at.port, 30) as session:
        node = session.get(path)
    assert node is not None, path
    return node.content


@contextmanager
def producer(env: Environment, **settings: object) -> Iterator[KafkaProducer]:
    """A producer that tells of the first refusal; what it could not send by its end is dropped."""
    from kafka.errors import KafkaTimeoutError

    # kafka-python's idempotent producer, its default, ends for good at some refusals.
    one = env.kafka.producer(**{"enable_idempotence": False, "retries": 0, **settings})
    try:
        yield one
    finally:
        with suppress(KafkaTimeoutError):
            one.close(timeout=0)


def send(
    one: KafkaProducer, topic: str, patience: float = PATIENCE, value: bytes = b"value", partition: int = 0
) -> int:
    """One message, acknowledged; its offset."""
    return int(one.send(topic, value, partition=partition).get(timeout=patience).offset)


def receive(one: KafkaConsumer, count: int = 1) -> list[Any]:
    """So many messages at least."""
    from kafka.errors import KafkaError

    found: list[Any] = []

    def poll() -> None:
        try:
            for records in one.poll(timeout_ms=500).values():
                found.extend(records)
        except KafkaError as error:
            raise NotReady(str(error)) from error
        if len(found) < count:
            raise NotReady(f"{len(found)} of {count} messages")

    until(poll, PATIENCE, f"{count} messages")
    return found


def refusal(act: Callable[P, object], *args: P.args, **settings: P.kwargs) -> str:
    """The name of the error that it raises; empty where it raises none."""
    try:
        act(*args, **settings)
    except Exception as error:  # noqa: BLE001 - whatever it is, its name is what is looked at
        return type(error).__name__
    return ""

"""Kafka's broker killed in the middle of real producers' transactions, and what real consumers see afterwards."""

from __future__ import annotations

import gc
import logging
import secrets
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from envctl.errors import ConfigurationError, VictimNeverCame
from envctl.reports import Fate
from envctl.services.kafka.chaos import gate
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import docker
    from kafka import KafkaProducer

    from envctl.environment import Environment

pytestmark = [
    # kafka-python reads its schemas in a way that Python 3.11 and 3.12 deprecate,
    pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning"),
    # and leaves sockets behind with which it has tried to reach a broker that is down.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"),
]

SERVICES = ["kafka"]
MESSAGES = 50
LISTENERS = pytest.mark.parametrize("sasl", [False, True], ids=["plaintext", "sasl"])
FOREVER = "1h"


@pytest.fixture
def topic() -> str:
    """A topic of the test's own."""
    return f"orders-{secrets.token_hex(4)}"


@pytest.fixture(autouse=True)
def answering(env: Environment, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The broker answers before a test and after it; what clients log while it is down fills no report."""
    caplog.set_level(logging.CRITICAL, "kafka")
    env.wait(["kafka"])
    yield
    env.chaos.heal()
    env.wait(["kafka"])
    # Such sockets are found here, where their warning is expected, and not at the end of the run.
    gc.collect()


@contextmanager
def transactional(
    env: Environment,
    name: str = "",
    **settings: Any,  # noqa: ANN401 - the client's own
) -> Iterator[KafkaProducer]:
    """A producer whose transactional id is `name`, ready to begin; patient with a broker that starts slowly."""
    patient = {"transaction_timeout_ms": 600_000, "max_block_ms": 300_000, "delivery_timeout_ms": 300_000, **settings}
    producer = env.kafka.producer(transactional_id=name or f"shop-{secrets.token_hex(4)}", **patient)
    with closing(producer):
        producer.init_transactions()
        yield producer


def write(producer: KafkaProducer, topic: str, messages: int = MESSAGES) -> None:
    """Messages in batches of ten, each acknowledged before the next."""
    for number in range(messages):
        producer.send(topic, b"%d" % number)
        if number % 10 == 9:
            producer.flush()
    producer.flush()


def transaction(producer: KafkaProducer, topic: str, messages: int = MESSAGES) -> None:
    """A whole one."""
    producer.begin_transaction()
    write(producer, topic, messages)
    producer.commit_transaction()


def committed(env: Environment, topic: str) -> list[bytes]:
    """What a reader of committed data gets, up to the end that it is told of."""
    with closing(env.kafka.consumer(isolation_level="read_committed")) as consumer:
        from kafka import TopicPartition

        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        [end] = consumer.end_offsets([partition]).values()
        found: list[bytes] = []
        while consumer.position(partition) < end:
            found += [message.value for batch in consumer.poll(timeout_ms=1000).values() for message in batch]
        return found


def all_of(messages: int = MESSAGES) -> list[bytes]:
    """What `write` writes."""
    return [b"%d" % number for number in range(messages)]


def started_at(env: Environment, engine: docker.DockerClient) -> str:
    """When the broker's container was last started."""
    return str(engine.containers.get(f"envctl-{env.name}-kafka-1").attrs["State"]["StartedAt"])


def running(env: Environment, engine: docker.DockerClient) -> bool:
    """Whether the broker's container runs."""
    return bool(engine.containers.get(f"envctl-{env.name}-kafka-1").attrs["State"]["Running"])


@LISTENERS
def test_a_kill_before_the_commit_leaves_it_open_and_its_producer_commits_it_afterwards(
    env: Environment, topic: str, sasl: bool
) -> None:
    """By its own patience; all that was written is there, once."""
    with transactional(env, sasl=sasl) as producer, env.chaos.kill_mid_transaction("kafka", table=topic) as kill:
        transaction(producer, topic)
        [victim] = kill.verdict.transactions
    assert (victim.fate, victim.victim, victim.facts["written"]) == (Fate.COMMITTED, True, {f"{topic}-0": MESSAGES})
    assert kill.verdict.clean
    assert committed(env, topic) == all_of()


def test_a_kill_between_commit_and_answer_leaves_it_in_doubt_and_its_producer_learns_by_asking_again(
    env: Environment, topic: str
) -> None:
    """It is committed, once, and the producer goes on."""
    with transactional(env) as producer:
        with env.chaos.kill_mid_transaction("kafka", table=topic, at="in-doubt") as kill:
            transaction(producer, topic)
            [victim] = kill.verdict.transactions
        assert victim.fate is Fate.IN_DOUBT
        assert not kill.verdict.clean
        assert kill.verdict.problems == ()
        assert committed(env, topic) == all_of()
        transaction(producer, topic, 1)
    assert committed(env, topic) == [*all_of(), b"0"]


def test_after_rows_kills_within_a_transaction_and_those_beside_it_are_told_too(env: Environment, topic: str) -> None:
    """The victim has so many messages and not all; the one beside stays open, and its producer aborts it."""
    beside = f"{topic}-beside"
    with transactional(env, f"beside-{topic}") as other, transactional(env) as producer:
        other.begin_transaction()
        write(other, beside, 20)
        with env.chaos.kill_mid_transaction("kafka", table=topic, after_rows=30) as kill:
            end = threading.Thread(target=other.abort_transaction, daemon=True)
            transaction(producer, topic)
            end.start()
            verdict = kill.verdict
            end.join(120)
            assert not end.is_alive()
        victim, bystander = verdict.transactions
        assert victim.facts["written"] == {f"{topic}-0": 30}
        assert (bystander.id, bystander.victim, bystander.fate) == (f"beside-{topic}", False, Fate.ROLLED_BACK)
    assert committed(env, topic) == all_of()
    assert committed(env, beside) == []


def test_a_producer_that_dies_too_has_its_transaction_aborted_when_its_time_is_over(
    env: Environment, topic: str, engine: docker.DockerClient
) -> None:
    """The verdict waits for that; nothing of it is seen."""
    program = (
        f"import envctl; p = envctl.attach({env.name!r}).kafka.producer("
        f"transactional_id={topic!r}, transaction_timeout_ms=10_000); p.init_transactions(); p.begin_transaction()\n"
        f"for n in range(20): p.send({topic!r}, b'x').get(30)\np.commit_transaction()"
    )
    before = started_at(env, engine)
    with env.chaos.kill_mid_transaction("kafka", table=topic, duration=FOREVER) as kill:
        with subprocess.Popen([sys.executable, "-W", "ignore", "-c", program]) as other:
            try:
                # It is started again at once: that it is down may be over before somebody looks.
                until(
                    lambda: _require(not running(env, engine) or started_at(env, engine) != before),
                    120,
                    "the broker is killed",
                )
            finally:
                other.kill()
        [victim] = kill.verdict.transactions
    assert (victim.fate, kill.verdict.clean) == (Fate.ROLLED_BACK, True)
    assert committed(env, topic) == []


def test_a_controlled_shutdown_loses_nothing(env: Environment, topic: str) -> None:
    """The control."""
    with transactional(env) as producer, env.chaos.kill_mid_transaction("kafka", table=topic, means="stop") as kill:
        transaction(producer, topic)
        assert kill.verdict.clean
    assert committed(env, topic) == all_of()


def test_transactions_that_do_not_fit_pass_and_a_victim_that_never_comes_leaves_no_gate(
    env: Environment, topic: str, engine: docker.DockerClient
) -> None:
    """By name, by topic, by size; the broker is not started again."""
    before = started_at(env, engine)
    with transactional(env, "wanted", client_id="shop") as producer, transactional(env, "another") as other:
        for aim in ({"application": "wanted", "table": "elsewhere"}, {"table": topic, "after_rows": MESSAGES + 1}):
            kill = env.chaos.kill_mid_transaction("kafka", duration=FOREVER, **aim)
            transaction(producer, topic)
            transaction(other, topic)
            kill.heal()
            with pytest.raises(VictimNeverCame, match="wanted did not fit"):
                kill.wait()
            assert gate.rules(kill._site, kill.evidence["gate"], remove=False) == 0
    assert started_at(env, engine) == before


def test_without_restart_the_broker_stays_down_until_it_is_healed(
    env: Environment, topic: str, engine: docker.DockerClient
) -> None:
    """And then the verdict comes."""
    with transactional(env) as producer:
        client = threading.Thread(target=transaction, args=(producer, topic), daemon=True)
        with env.chaos.kill_mid_transaction("kafka", table=topic, restart=False, duration=FOREVER) as kill:
            client.start()
            until(lambda: _require(not running(env, engine)), 120, "the broker is killed")
            assert client.is_alive()
        client.join(120)
        assert not client.is_alive()
    assert kill.verdict.clean
    assert committed(env, topic) == all_of()


def test_an_injector_that_is_killed_while_it_waits_opens_the_gate(
    env: Environment,
    topic: str,
    engine: docker.DockerClient,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
) -> None:
    """At once: the next transaction that fits commits."""
    before = started_at(env, engine)
    arm = f"env.chaos.kill_mid_transaction('kafka', table={topic!r}, duration='1h').__enter__()"
    with transactional(env) as producer, injected(arm) as other:
        other.kill()
        other.wait()
        transaction(producer, topic)
    until(lambda: _require(env.chaos.status() == []), 120, "healed")
    assert (committed(env, topic), started_at(env, engine)) == (all_of(), before)


def test_an_injector_that_is_killed_after_the_kill_has_the_broker_started_for_it(
    env: Environment,
    topic: str,
    engine: docker.DockerClient,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
) -> None:
    """By the warden; the producer commits."""
    arm = f"env.chaos.kill_mid_transaction('kafka', table={topic!r}, restart=False, duration='1h').__enter__()"
    with transactional(env) as producer, injected(arm) as other:
        client = threading.Thread(target=transaction, args=(producer, topic), daemon=True)
        client.start()
        until(lambda: _require(not running(env, engine)), 120, "the broker is killed")
        other.kill()
        client.join(120)
        assert not client.is_alive()
    until(lambda: _require(env.chaos.status() == []), 120, "healed")
    assert committed(env, topic) == all_of()


def test_impossible_aims_are_refused_all_at_once(env: Environment) -> None:
    """Nothing is changed."""
    impossible = {
        "at": "commit",
        "means": "power",
        "after_statements": 3,
        "role": "app",
        "where": "x",
        "operation": "update",
    }
    with pytest.raises(ConfigurationError) as caught:
        env.chaos.kill_mid_transaction("kafka", **impossible)
    for option in ("--at", "--means", "--after-statements", "--role", "--where", "--operation"):
        assert option in str(caught.value)
    assert env.chaos.status() == []


def _require(condition: bool) -> None:
    from envctl.protocols import NotReady

    if not condition:
        raise NotReady("not yet")

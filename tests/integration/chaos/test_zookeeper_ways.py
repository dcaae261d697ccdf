"""ZooKeeper sessions that expire: Kafka's, which registers anew, and a client's own, which is told so."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from envctl.errors import ConfigurationError, FaultUnfit
from envctl.protocols import NotReady
from envctl.services.wire import Wire
from envctl.services.zookeeper.chaos.session import Session
from envctl.services.zookeeper.chaos.sessions import password, sessions
from tests.integration.chaos.kafka_clients import make, producer, receive, record, send

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from envctl.environment import Environment

# kafka-python reads its schemas in a way that Python 3.11 and 3.12 deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning")

SERVICES = ["kafka"]
BROKER, CONTROLLER = "/brokers/ids/1", "/controller"
KAFKAS = 2
"""Sessions of Kafka: the broker's and its authorizer's. Any other ends by itself, some seconds after its owner."""


def owner(env: Environment, node: str) -> str:
    """The session that holds a node; empty where there is no such node."""
    there = sessions(env.zookeeper.endpoint, 30)
    return next((one for one, nodes in there.items() if node in nodes), "")


def opened(env: Environment, session: int = 0, word: bytes = bytes(16)) -> tuple[int, int, bytes]:
    """What the server answers who opens a session, or comes back to one: its time (0: expired), number and password."""
    at = env.zookeeper.endpoint
    opening = struct.pack("!iqiqi", 0, 0, 10_000, session, 16) + word + b"\0"
    with Wire(at.host, at.port, 30) as wire:
        wire.send(struct.pack("!i", len(opening)) + opening)
        size = struct.unpack("!i", wire.exactly(4))[0]
        answer = wire.exactly(size)
    timeout, number = struct.unpack_from("!iq", answer, 4)
    return timeout, number, answer[20:36]


def test_kafka_registers_anew_and_its_clients_go_on(env: Environment) -> None:
    """The same broker, not restarted, by a session of a new number; topics can be made again."""
    topic = make(env)
    before, registered = owner(env, BROKER), record(env, BROKER)
    with producer(env, retries=5) as live:
        consumer = env.kafka.consumer(topic, group_id="readers")
        send(live, topic)
        receive(consumer)
        with env.chaos.expire_session("zookeeper") as fault:
            assert before in fault.evidence["expired"]
            assert BROKER in fault.evidence["expired"][before]
        assert fault.heal().evidence["registered again"].keys() == {BROKER, CONTROLLER}
        assert owner(env, BROKER) not in {"", before}
        send(live, topic)
        receive(consumer)
        consumer.close()
    assert _lasting(record(env, BROKER)) == _lasting(registered)
    env.wait(["kafka"])
    make(env)


def _lasting(registration: bytes) -> bytes:
    """All but when it was made."""
    head, _, rest = registration.partition(b'"timestamp":"')
    return head + rest.partition(b'"')[2]


def test_a_client_is_told_that_its_session_is_no_more(env: Environment) -> None:
    """Its connection closes, its node is gone, and nobody else's; the broker stays."""
    broker = owner(env, BROKER)
    with suppress(NotReady), Session(env.zookeeper.endpoint, 60) as live:
        live.made_at()
        [(node, session)] = [(nodes[0], one) for one, nodes in _all(env).items() if nodes and "/envctl-" in nodes[0]]
        fault = env.chaos.expire_session("zookeeper", node=node)
        assert fault.evidence == {"expired": {session: [node]}}
        assert fault.heal().evidence == {"registered again": {}, "not there": [node]}
        assert opened(env, int(session, 16), password(int(session, 16)))[0] == 0
        with pytest.raises(NotReady, match="closed"):
            live.made_at()
    assert owner(env, BROKER) == broker


def _all(env: Environment) -> dict[str, list[str]]:
    return sessions(env.zookeeper.endpoint, 30)


def test_the_password_is_the_one_that_the_server_gives(env: Environment) -> None:
    """Of a session that is open, the owner comes back by it."""
    timeout, number, word = opened(env)
    assert timeout > 0
    assert word == password(number)
    assert opened(env, number, word)[:2] == (timeout, number)
    env.chaos.expire_session("zookeeper", client="all").heal()
    assert opened(env, number, word)[0] == 0


def test_all_sessions_expire_and_rights_work_on(env: Environment, eventually: Callable[..., None]) -> None:
    """Kafka's authorizer has a session of its own, by which it hears of new rights; it holds no node to wait for."""
    eventually(lambda: _assert(len(_all(env)) == KAFKAS))
    before = _all(env).keys()
    with env.chaos.expire_session("zookeeper", client="all") as fault:
        assert fault.evidence["expired"].keys() >= before
    assert not before & _all(env).keys()
    assert len(_all(env)) >= KAFKAS
    topic = make(env)
    with producer(env) as live, env.chaos.revoke_credentials("kafka"), pytest.raises(Exception, match="uthorization"):
        send(live, topic)
    with producer(env) as live:
        send(live, topic)


def test_a_broker_that_cannot_come_back_yet_is_waited_for(env: Environment) -> None:
    """It is healed when it has registered."""
    with env.chaos.pause("kafka"):
        fault = env.chaos.expire_session("zookeeper", duration="1h")
        assert owner(env, BROKER) == ""
    assert fault.heal().stage == "healed"
    assert owner(env, BROKER)


def test_an_injector_that_is_killed_leaves_nothing_behind(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """There is nothing to take back; the warden sees that Kafka is back."""
    with injected("env.chaos.expire_session('zookeeper', duration='1h').__enter__()") as other:
        other.kill()
        eventually(lambda: _assert(env.chaos.status() == []))
    assert owner(env, BROKER)


def test_what_cannot_be_is_refused_by_name(env: Environment, eventually: Callable[..., None]) -> None:
    """No session ends."""
    eventually(lambda: _assert(len(_all(env)) == KAFKAS))
    before = _all(env)
    with pytest.raises(ConfigurationError, match="--client: wanted one of kafka, all, found 'spark'"):
        env.chaos.expire_session("zookeeper", client="spark")
    with pytest.raises(ConfigurationError, match="--client: wanted none with --node"):
        env.chaos.expire_session("zookeeper", client="all", node=BROKER)
    with pytest.raises(ConfigurationError, match="--node: wanted a path"):
        env.chaos.expire_session("zookeeper", node="brokers")
    with pytest.raises(FaultUnfit, match=r"which hold .*/brokers/ids/1"):
        env.chaos.expire_session("zookeeper", node="/brokers")
    with pytest.raises(FaultUnfit, match="use expire-session on zookeeper"):
        env.chaos.expire_session("kafka")
    assert _all(env) == before
    assert env.chaos.status() == []


def _assert(truth: bool) -> None:
    assert truth

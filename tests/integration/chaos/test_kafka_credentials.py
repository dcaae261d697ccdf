"""A Kafka user's rights taken away from live clients and new ones of both listeners, and given back to the byte."""

from __future__ import annotations

import json
import struct
import subprocess
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from envctl.errors import ConfigurationError, FaultConflict, FaultUnfit, NotReadyInTime
from envctl.model import Identity
from envctl.protocols import NotReady
from envctl.services.kafka import requests
from envctl.services.kafka.requests import Acl, Operation, Resource
from envctl.services.kafka.sasl import delete_scram, login_plain, login_scram, set_scram
from envctl.services.kafka.wire import Connection, array, check, string
from envctl.services.wire import admin_of, app_of
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from kafka import KafkaConsumer, KafkaProducer

    from envctl.environment import Environment

# kafka-python reads its schemas in a way that Python 3.11 and 3.12 deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning")

SERVICES = ["kafka"]
TOPIC = "rights"
LISTENERS = pytest.mark.parametrize("sasl", [False, True], ids=["plaintext", "sasl"])
CREDENTIAL_MODES = pytest.mark.parametrize("mode", ["scram", "password"])


@contextmanager
def admin(env: Environment) -> Iterator[Connection]:
    """A connection as envctl."""
    at = env.kafka.endpoint
    with Connection(at.host, at.ports["sasl"], 30) as connection:
        login_plain(connection, admin_of(at))
        yield connection


def login(env: Environment, identity: Identity) -> None:
    """Log in by SCRAM, as any client."""
    with Connection(env.kafka.endpoint.host, env.kafka.endpoint.ports["sasl"], 30) as connection:
        login_scram(connection, identity)


def rights(env: Environment, *principals: str) -> dict[str, list[requests.AclLine]]:
    """The broker's own list."""
    with admin(env) as connection:
        return {who: requests.describe_acls(connection, who) for who in principals}


def record(env: Environment, user: str = "app") -> str:
    """What ZooKeeper holds of a user, told by Kafka's own tool."""
    shell = ["zookeeper-shell", "localhost:2181", "get", f"/config/users/{user}"]
    argv = env.exec_argv("zookeeper", ["env", "KAFKA_OPTS=", *shell])

    def told() -> str:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if "Node does not exist" in f"{done.stdout}{done.stderr}":
            return ""
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                return line
        raise NotReady(f"{done.stdout}{done.stderr}"[-300:])

    return until(told, 120, f"what ZooKeeper holds of {user}")


def quota(env: Environment, user: str, rate: float | None) -> None:
    """Limit a user's bytes in a second, or do so no more, as an operator would."""
    entity = array([string("user") + string(user)])
    operation = array([string("producer_byte_rate") + struct.pack(">d?", rate or 0, rate is None)])
    with admin(env) as connection:
        response = connection.call(49, 0, array([entity + operation]) + b"\0")
        response.number("i")
        response.number("i")
        check("set a quota", response.number("h"))


def send(producer: KafkaProducer, patience: float = 60) -> None:
    """One message, acknowledged within so many seconds."""
    producer.send(TOPIC, b"value").get(timeout=patience)


def receive(consumer: KafkaConsumer) -> None:
    """One message at least. kafka-python tells of a refusal when it is next asked, which may be when it is over."""
    from kafka.errors import KafkaError

    def poll() -> None:
        try:
            found = consumer.poll(timeout_ms=1000)
        except KafkaError as error:
            raise NotReady(str(error)) from error
        if not found:
            raise NotReady("no message")

    until(poll, 60, "a message")


@contextmanager
def live(env: Environment, *, sasl: bool) -> Iterator[tuple[KafkaProducer, KafkaConsumer]]:
    """A producer and a consumer that have worked."""
    # kafka-python's idempotent producer, its default, ends for good at its first refusal.
    producer = env.kafka.producer(sasl=sasl, enable_idempotence=False, retries=0)
    consumer = env.kafka.consumer(sasl=sasl, group_id=f"live-{sasl}", max_poll_records=1, fetch_max_wait_ms=200)
    with closing(producer), closing(consumer):
        consumer.subscribe([TOPIC])
        for _ in range(20):
            send(producer)
        receive(consumer)
        yield producer, consumer


def poll_and_commit(consumer: KafkaConsumer) -> None:
    """What a live consumer does. kafka-python's poll raises when a fetch is refused, but where the next look at the
    topics is refused first it fetches no more and brings nothing, in silence: then it is the commit that is refused.
    """
    quiet = 0
    while quiet < 5:  # what it had fetched before may still come
        quiet = 0 if consumer.poll(timeout_ms=1000) else quiet + 1
    consumer.commit()


def failure(act: Callable[[], object]) -> str:
    """The name of what it raises."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, its name is what is looked at
        act()
    return type(caught.value).__name__


@LISTENERS
def test_a_denial_refuses_live_and_new_clients_and_the_live_ones_go_on_afterwards(env: Environment, sasl: bool) -> None:
    """Through both listeners, without a new connection."""
    with live(env, sasl=sasl) as (producer, consumer):
        with env.chaos.revoke_credentials("kafka", duration="1h"):
            assert failure(lambda: send(producer)) == "TopicAuthorizationFailedError"
            assert "AuthorizationFailed" in failure(lambda: poll_and_commit(consumer))
            with closing(env.kafka.producer(sasl=sasl, enable_idempotence=False, retries=0)) as new:
                assert failure(lambda: send(new)) == "TopicAuthorizationFailedError"
            with closing(env.kafka.consumer(TOPIC, sasl=sasl, group_id="new")) as other:
                assert "AuthorizationFailed" in failure(lambda: poll_and_commit(other))
        send(producer)
        receive(consumer)


def test_a_denial_takes_no_right_of_anybody_elses_along(env: Environment) -> None:
    """The rights afterwards are those from before, a test's own among them; meanwhile only denials are more."""
    own = [Acl(Resource.TOPIC, "orders-", who, Operation.ALL, allow=False) for who in ("User:app", "User:bob")]
    own += [Acl(Resource.TOPIC, "*", "User:ANONYMOUS", Operation.ALL, allow=False)]
    everybody = ["User:app", "User:ANONYMOUS", "User:bob"]
    with admin(env) as connection:
        requests.create_acls(connection, own)
    try:
        before = rights(env, *everybody)
        with env.chaos.revoke_credentials("kafka"):
            during = rights(env, *everybody)
        assert rights(env, *everybody) == before
        assert {who: len(during[who]) - len(before[who]) for who in everybody} == {
            "User:app": 4,
            "User:ANONYMOUS": 3,
            "User:bob": 0,
        }
    finally:
        with admin(env) as connection:
            requests.delete_acls(connection, [acl.line for acl in own])


@CREDENTIAL_MODES
def test_a_credential_that_is_gone_cuts_live_clients_and_refuses_new_ones(env: Environment, mode: str) -> None:
    """The same clients work afterwards with the original password, and ZooKeeper holds the same bytes."""
    before = record(env)
    with live(env, sasl=True) as (producer, consumer), live(env, sasl=False) as (other, _):
        with env.chaos.revoke_credentials("kafka", mode=mode, duration="1h"):
            # It logs in again and again: a login that is refused may be a password that is being changed.
            assert failure(lambda: send(producer, 3)) == "KafkaTimeoutError"
            assert failure(lambda: login(env, app_of(env.kafka.endpoint))) == "Failed"
            send(other)
        send(producer)
        receive(consumer)
    assert record(env) == before


@CREDENTIAL_MODES
def test_a_user_whose_password_envctl_does_not_know_gets_the_same_credential_back(env: Environment, mode: str) -> None:
    """With settings beside it that somebody changes meanwhile: these stay."""
    bob = Identity("b,o=b b*", "the word of bob")
    with admin(env) as connection:
        set_scram(connection, bob)
    try:
        with env.chaos.revoke_credentials("kafka", mode=mode, user=bob.username) as revocation:
            assert failure(lambda: login(env, bob)) == "Failed"
            login(env, app_of(env.kafka.endpoint))
            quota(env, bob.username, 1e6)
        assert revocation.heal().evidence["record"] == "equal but for settings that others changed"
        assert json.loads(record(env, "b%2Co%3Db%20b%2A"))["config"]["producer_byte_rate"] == "1000000"
        login(env, bob)
    finally:
        quota(env, bob.username, None)
        with admin(env) as connection:
            delete_scram(connection, bob.username)


def test_an_injector_that_is_killed_leaves_nothing_behind(
    env: Environment,
    injected: Callable[[str], AbstractContextManager[subprocess.Popen[str]]],
    eventually: Callable[..., None],
) -> None:
    """Whatever the mode, the warden gives everything back."""
    before = record(env), rights(env, "User:app", "User:ANONYMOUS")
    for mode in ("acl", "scram", "password"):
        with injected(f"env.chaos.revoke_credentials('kafka', mode={mode!r}, duration='1h').__enter__()") as other:
            assert (record(env), rights(env, "User:app", "User:ANONYMOUS")) != before
            other.kill()
            eventually(lambda: _assert(env.chaos.status() == []))
        assert (record(env), rights(env, "User:app", "User:ANONYMOUS")) == before
        login(env, app_of(env.kafka.endpoint))


def test_waiting_for_kafka_gives_nothing_back_meanwhile(env: Environment) -> None:
    """It is not ready, as the tests find it, and the identity is not made anew."""
    before = record(env)
    with env.chaos.revoke_credentials("kafka", mode="scram"), pytest.raises(NotReadyInTime):
        env.wait(["kafka"], timeout=3)
    env.wait(["kafka"])
    assert json.loads(record(env))["config"].keys() == json.loads(before)["config"].keys()


def test_what_cannot_be_revoked_is_refused_by_name(env: Environment) -> None:
    """Nothing is changed."""
    for parameters, said in [
        ({"user": "envctl"}, "envctl's own"),
        ({"user": "nobody"}, "there: app"),
        ({"user": "ANONYMOUS", "mode": "scram"}, "use mode acl"),
    ]:
        with pytest.raises(FaultUnfit, match=said):
            env.chaos.revoke_credentials("kafka", **parameters)
    with pytest.raises(ConfigurationError, match="wanted one of acl, scram, password, found 'policy'"):
        env.chaos.revoke_credentials("kafka", mode="policy")
    assert env.chaos.status() == []


def test_two_on_one_identity_are_refused_and_two_on_two_are_not(env: Environment) -> None:
    """ANONYMOUS is an identity of its own, though the tests' own default takes it along."""
    with env.chaos.revoke_credentials("kafka") as first:
        with pytest.raises(FaultConflict, match=first.id):
            env.chaos.revoke_credentials("kafka", mode="scram")
        with pytest.raises(FaultUnfit, match="denied to it already"):
            env.chaos.revoke_credentials("kafka", user="ANONYMOUS")


def test_a_user_that_is_dropped_meanwhile_is_lost_and_its_denials_are_gone(env: Environment) -> None:
    """What the tests dropped is not made again."""
    bob = Identity("bob", "the word of bob")
    with admin(env) as connection:
        set_scram(connection, bob)
    revocation = env.chaos.revoke_credentials("kafka", user="bob")
    with admin(env) as connection:
        delete_scram(connection, "bob")
    assert revocation.heal().stage == "lost"
    assert rights(env, "User:bob") == {"User:bob": []}


def _assert(condition: bool) -> None:
    assert condition

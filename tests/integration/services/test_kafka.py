"""Kafka as it runs: its addresses, its identities, its rights, and how it comes back."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from envctl.model import Identity
from envctl.protocols import NotReady
from envctl.services.kafka import Kafka
from envctl.services.kafka.requests import metadata
from envctl.services.kafka.sasl import login_scram, set_scram
from envctl.services.kafka.service import READY_TOPIC, rights
from envctl.services.kafka.wire import Connection
from envctl.services.wire import app_of
from envctl.services.zookeeper import ZooKeeper
from envctl.waiting import until
from tests.integration.services.conftest import ANSWER, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from kafka import KafkaAdminClient, KafkaProducer

    from tests.integration.services.conftest import Running

# kafka-python reads its schemas in a way that Python 3.11 and 3.12 deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning")

LISTENERS = pytest.mark.parametrize("sasl", [False, True], ids=["plaintext", "sasl"])


@pytest.fixture(scope="module")
def kafka(running_service: Callable[..., AbstractContextManager[Running]]) -> Iterator[Running]:
    """One broker with its ZooKeeper for the module, ready."""
    with running_service(Kafka(), ZooKeeper()) as server:
        yield server.ready()


@contextmanager
def _super_user(kafka: Running) -> Iterator[KafkaAdminClient]:
    """An admin client as envctl, over the SASL listener."""
    assert kafka.at.admin
    login = {"sasl_plain_username": kafka.at.admin.username, "sasl_plain_password": kafka.at.admin.password}
    with closing(Kafka().handle(kafka.at).admin(sasl=True, sasl_mechanism="PLAIN", **login)) as admin:
        yield admin


def _acls(admin: KafkaAdminClient) -> set[str]:
    from kafka.admin import ACLFilter, ACLOperation, ACLPermissionType, ResourcePatternFilter, ResourceType
    from kafka.admin import ACLResourcePatternType as Pattern

    everything = ResourcePatternFilter(ResourceType.ANY, None, Pattern.ANY)
    found, _ = admin.describe_acls(ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, everything))
    return {repr(acl) for acl in found}


def _deny(topic: str) -> list[Any]:
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

    where = ResourcePattern(ResourceType.TOPIC, topic)
    return [ACL(who, "*", ACLOperation.ALL, ACLPermissionType.DENY, where) for who in ("User:app", "User:ANONYMOUS")]


def _send(producer: KafkaProducer, topic: str) -> None:
    producer.send(topic, b"value").get(timeout=PATIENCE)


def test_it_is_not_ready_while_it_boots(kafka: Running) -> None:
    """The published port accepts at once; ready comes later, and then a client is served without a retry."""
    kafka.restart("kafka")
    with pytest.raises(NotReady):
        kafka.service.ping(kafka.at, 1)
    kafka.ready()
    with closing(Kafka().handle(kafka.at).producer(retries=0)) as producer:
        _send(producer, "after-boot")


@LISTENERS
def test_each_listener_advertises_the_address_that_it_is_reached_at(kafka: Running, sasl: bool) -> None:
    """As another client sees it."""
    with closing(Kafka().handle(kafka.at).admin(sasl=sasl)) as admin:
        (broker,) = admin.describe_cluster()["brokers"]
    assert (broker["host"], broker["port"]) == ("127.0.0.1", kafka.at.ports["sasl" if sasl else "kafka"])


def test_an_address_that_does_not_lead_here_is_not_ready(kafka: Running) -> None:
    """Reached by another name than it advertises, a client would go elsewhere after its first request."""
    elsewhere = dataclasses.replace(kafka.at, host="localhost")
    with pytest.raises(NotReady, match=f"localhost:{kafka.at.port} advertises {kafka.at.address}"):
        kafka.service.ping(elsewhere, ANSWER)


@LISTENERS
def test_what_was_produced_is_consumed(kafka: Running, sasl: bool) -> None:
    """Through the handle's own clients, with a group."""
    handle, topic = Kafka().handle(kafka.at), f"round-trip-{sasl}"
    with closing(handle.producer(sasl=sasl)) as producer:
        _send(producer, topic)
    with closing(handle.consumer(topic, sasl=sasl, group_id=topic, consumer_timeout_ms=PATIENCE * 1000)) as consumer:
        assert next(iter(consumer)).value == b"value"


@pytest.mark.parametrize("restarted", ["kafka", "zookeeper"])
def test_the_address_stays_after_a_restart(kafka: Running, restarted: str) -> None:
    """Ready again at the same ports with the same login, without provisioning."""
    kafka.restart(restarted)
    until(lambda: kafka.service.ping(kafka.at, 2), PATIENCE, "kafka ready")
    until(lambda: kafka.services["zookeeper"].ping(kafka.endpoints["zookeeper"], 2), PATIENCE, "zookeeper ready")


def test_a_killed_broker_that_starts_again_at_once_comes_back(kafka: Running) -> None:
    """Its old session in ZooKeeper lives for 6 s more; a broker that registered meanwhile would exit."""
    kafka.docker("kill", "--signal", "KILL", kafka.container("kafka"))
    kafka.docker("start", kafka.container("kafka"))
    until(lambda: kafka.service.ping(kafka.at, 2), PATIENCE, "kafka ready")
    assert kafka.docker("inspect", "-f", "{{.RestartCount}}", kafka.container("kafka")).strip() == "0"


def test_a_wrong_password_is_refused_and_not_repeated(kafka: Running) -> None:
    """The reason names the login; the password is in no text."""
    stranger = dataclasses.replace(kafka.at, app=Identity("app", "a-wrong-word"))
    with pytest.raises(NotReady, match="log in as app: SASL_AUTHENTICATION_FAILED") as caught:
        kafka.service.ping(stranger, ANSWER)
    assert "a-wrong-word" not in str(caught.value)


def test_provisioning_again_and_at_once_changes_nothing(kafka: Running) -> None:
    """Four at the same time, as four processes would."""
    service = kafka.service
    assert isinstance(service, Kafka)
    with _super_user(kafka) as admin:
        before = _acls(admin)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: until(lambda: service.provision(kafka.at, 5), PATIENCE, "provisioned"), range(4)))
        assert _acls(admin) == before
        assert len(before) == len(rights())
    until(lambda: service.ping(kafka.at, 2), PATIENCE, "ready")


def test_first_rights_lock_nobody_out(running_service: Callable[..., AbstractContextManager[Running]]) -> None:
    """Without envctl everybody may write; while the first rights come, a live producer never fails."""
    with running_service(Kafka(), ZooKeeper()) as server:
        service = server.service
        assert isinstance(service, Kafka)
        until(lambda: _serve(server), PATIENCE, "the broker")
        with closing(Kafka().handle(server.at).producer()) as producer:
            _send(producer, "written-throughout")
            stop, failures = threading.Event(), list[Exception]()

            def write() -> None:
                while not stop.is_set():
                    try:
                        _send(producer, "written-throughout")
                    except Exception as error:  # noqa: BLE001 - any failure is what the test looks for
                        failures.append(error)

            thread = threading.Thread(target=write, daemon=True)
            thread.start()
            try:
                server.provision()
            finally:
                stop.set()
                thread.join(PATIENCE)
            assert failures == []
            _send(producer, "written-throughout")


def _serve(server: Running) -> None:
    """What any client asks first; a broker that nobody provisioned answers it too."""
    with Connection(server.at.host, server.at.port, 1) as connection:
        if not metadata(connection).brokers:
            raise NotReady("no broker yet")


@LISTENERS
def test_a_denial_bites_on_live_connections_and_its_removal_heals(kafka: Running, sasl: bool) -> None:
    """The same producer fails after the DENY and works after it is gone; envctl is never hit."""
    from kafka.errors import TopicAuthorizationFailedError

    topic = f"denied-{sasl}"
    # kafka-python's idempotent producer, its default, ends for good at its first refusal.
    live = Kafka().handle(kafka.at).producer(sasl=sasl, enable_idempotence=False)
    with _super_user(kafka) as admin, closing(live) as producer:
        _send(producer, topic)
        admin.create_acls(_deny(topic))
        try:
            with pytest.raises(TopicAuthorizationFailedError):
                _send(producer, topic)
            assert topic in admin.list_topics()
            kafka.service.ping(kafka.at, ANSWER)
        finally:
            admin.delete_acls(_deny(topic))
        _send(producer, topic)


@LISTENERS
def test_the_tests_cannot_give_themselves_rights(kafka: Running, sasl: bool) -> None:
    """Neither ACLs nor passwords are theirs to change, logged in or not."""
    from kafka.errors import ClusterAuthorizationFailedError

    with closing(Kafka().handle(kafka.at).admin(sasl=sasl)) as admin:
        refusals = admin.create_acls(_deny("anything"))
        assert refusals == {"succeeded": [], "failed": [ClusterAuthorizationFailedError] * 2}
    with Connection(kafka.at.host, kafka.at.ports["sasl" if sasl else "kafka"], ANSWER) as connection:
        if sasl:
            login_scram(connection, app_of(kafka.at))
        with pytest.raises(NotReady, match="CLUSTER_AUTHORIZATION_FAILED"):
            set_scram(connection, Identity("app", "another-word"))
    kafka.service.ping(kafka.at, ANSWER)


def test_the_own_topic_is_in_no_list_of_the_plaintext_listener(kafka: Running) -> None:
    """A test that lists or deletes all topics does not meet it."""
    with closing(Kafka().handle(kafka.at).admin()) as admin:
        assert READY_TOPIC not in admin.list_topics()


def test_a_deleted_own_topic_is_made_again(kafka: Running) -> None:
    """A suite that clears the broker as app takes it along; that must not make Kafka unready for ever."""
    with closing(Kafka().handle(kafka.at).admin(sasl=True)) as admin:
        admin.delete_topics([READY_TOPIC])
    until(lambda: kafka.service.ping(kafka.at, 2), PATIENCE, "kafka ready")


def test_no_secret_is_seen_from_outside(kafka: Running) -> None:
    """Not in what the engine tells, not in the process list, not in the log."""
    assert kafka.at.admin
    assert kafka.at.app
    seen = str(kafka.inspect()) + kafka.execute("ps", "auxww") + kafka.logs()
    assert "kafka.Kafka" in seen
    assert [word for word in (kafka.at.admin.password, kafka.at.app.password) if word in seen] == []


def test_the_shell_has_kafkas_tools(kafka: Running) -> None:
    """Against the listener for containers, which every container of the environment may use."""
    with closing(Kafka().handle(kafka.at).producer()) as producer:
        _send(producer, "seen-in-the-shell")
    command, environ = Kafka().shell(kafka.at)
    assert command[0] == "bash"
    listed = kafka.execute("bash", "-c", "kafka-topics --bootstrap-server $BOOTSTRAP --list", environ=environ)
    assert "seen-in-the-shell" in listed.split()

"""Laws of the catalog that need it running: one environment with every service, seen from where tests are."""

from __future__ import annotations

import io
import os
import secrets
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import docker
import pytest

import envctl
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl import Environment
    from envctl.model import Endpoint
    from envctl.protocols import Service

SPARE = 30.0
"""Seconds of patience for one answer; machines that run tests are busy."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Every service, ready; gone at the end, and state of its own meanwhile."""
    if os.environ.get("ENVCTL_NO_ENGINE") == "1":
        pytest.skip("ENVCTL_NO_ENGINE=1: no engine here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.chdir(tmp_path_factory.mktemp("folder"))
        with envctl.up("full", name=f"laws-{secrets.token_hex(4)}", ports="auto") as env:
            yield env


@pytest.fixture
def where(running: Environment, service: Service) -> Endpoint:
    """The endpoint of the service in turn, with its identities."""
    at: Endpoint = handle(running, service).endpoint
    return at


@pytest.fixture
def variables(running: Environment, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The connection data, which is also in this process's environment."""
    found = running.variables()
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def handle(env: Environment, service: Service) -> Any:  # noqa: ANN401 - of another class for each service
    """A service's handle, by the name that the environment gives it."""
    return getattr(env, service.name.removesuffix("-connect"))


def test_a_ready_service_answers_its_ping(service: Service, where: Endpoint) -> None:
    """From the host, as the app identity."""
    service.ping(where, SPARE)


def test_a_wrong_password_is_not_ready_and_not_shown(service: Service, where: Endpoint) -> None:
    """The login is refused, with words that do not hold what was tried, nor what is right."""
    if where.app is None:
        pytest.skip("has no identities")
    with pytest.raises(NotReady) as refused:
        service.ping(replace(where, app=replace(where.app, password="wr0ng-secret")), SPARE)
    assert "wr0ng-secret" not in str(refused.value)
    assert where.app.password not in str(refused.value)


def test_a_ping_leaves_no_trace_that_a_test_would_see(running: Environment) -> None:
    """No table, key, topic, object: the services are as empty as new ones."""
    with running.postgres.connect() as db:
        assert db.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
    with running.redis.client() as redis:
        assert redis.dbsize() == 0
    with closing(running.kafka.consumer()) as consumer:
        assert {topic for topic in consumer.topics() if not topic.startswith("laws-")} == set()
    assert list(running.minio.client().list_objects(running.minio.bucket, recursive=True)) == []


def test_a_restart_changes_no_address_and_wait_says_ready(running: Environment, service: Service) -> None:
    """Whoever held the connection data before holds it still."""
    before, variables = running.status().services[service.name], running.variables()
    with closing(docker.from_env()) as engine:
        container = engine.containers.get(before.container)
        started = container.attrs["State"]["StartedAt"]
        container.restart(timeout=30)  # a clean stop: the SDK's own 10 s are fewer than the compose files allow
        container.reload()
        assert container.attrs["State"]["StartedAt"] != started
    assert len(running.wait()) == 6, "what depends on it is ready again, too"
    after = running.status().services[service.name]
    assert (after.host, after.ports, after.container) == (before.host, before.ports, before.container)
    assert running.variables() == variables
    service.ping(handle(running, service).endpoint, SPARE)


def test_postgres_works_and_the_app_is_no_administrator(running: Environment, variables: dict[str, str]) -> None:
    """By psycopg's own defaults, which are libpq's variables."""
    from psycopg import connect, errors

    with running.postgres.connect() as db:
        assert db.execute("SELECT current_user, current_database()").fetchone() == ("app", "app")
    with connect("", autocommit=True) as db:
        db.execute("CREATE TABLE made (n int)")
        with pytest.raises(errors.InsufficientPrivilege):
            db.execute("CREATE ROLE friend")
        db.execute("DROP TABLE made")
    with connect(variables["DATABASE_URL"]) as db:
        assert db.execute("SELECT 1").fetchone() == (1,)


def test_redis_works_and_the_app_is_no_administrator(running: Environment, variables: dict[str, str]) -> None:
    """By the handle and by the URL."""
    from redis import Redis
    from redis.exceptions import NoPermissionError

    with running.redis.client(decode_responses=True) as client:
        client.set("word", "value")
        with pytest.raises(NoPermissionError):
            client.config_get("dir")
    with Redis.from_url(variables["REDIS_URL"], decode_responses=True) as client:
        assert client.getdel("word") == "value"


@pytest.mark.parametrize("sasl", [False, True], ids=["plaintext", "sasl"])
def test_kafka_works_and_the_app_is_no_administrator(
    running: Environment, variables: dict[str, str], *, sasl: bool
) -> None:
    """Produced through the handle, consumed with what the variables say; rights are not the app's to give."""
    from kafka import KafkaConsumer
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
    from kafka.errors import ClusterAuthorizationFailedError

    topic = f"laws-{sasl}"
    with closing(running.kafka.producer(sasl=sasl)) as producer:
        producer.send(topic, b"value").get(timeout=SPARE)
    settings: dict[str, Any] = {"bootstrap_servers": variables["KAFKA_BOOTSTRAP_SERVERS"]}
    if sasl:
        settings = {
            "bootstrap_servers": variables["KAFKA_SASL_BOOTSTRAP_SERVERS"],
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": variables["KAFKA_SASL_MECHANISM"],
            "sasl_plain_username": variables["KAFKA_SASL_USERNAME"],
            "sasl_plain_password": variables["KAFKA_SASL_PASSWORD"],
        }
    patience = int(SPARE * 1000)
    with closing(
        KafkaConsumer(topic, group_id=topic, auto_offset_reset="earliest", consumer_timeout_ms=patience, **settings)
    ) as consumer:
        assert next(iter(consumer)).value == b"value"
    anything = ResourcePattern(ResourceType.TOPIC, "*")
    right = ACL("User:friend", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, anything)
    with closing(running.kafka.admin(sasl=sasl)) as admin:
        assert admin.create_acls([right]) == {"succeeded": [], "failed": [ClusterAuthorizationFailedError]}


def test_minio_works_and_the_app_is_no_administrator(running: Environment, variables: dict[str, str]) -> None:
    """What the handle put is got by a client that takes its login from AWS' variables."""
    from minio import Minio, MinioAdmin
    from minio.credentials import EnvAWSProvider
    from minio.error import MinioAdminException

    running.minio.client().put_object(running.minio.bucket, "folder/word", io.BytesIO(b"value"), 5)
    host, bucket = variables["AWS_ENDPOINT_URL_S3"].removeprefix("http://"), variables["S3_BUCKET"]
    client = Minio(endpoint=host, credentials=EnvAWSProvider(), secure=False, region=variables["AWS_REGION"])
    with closing(client.get_object(bucket_name=bucket, object_name="folder/word")) as answer:
        assert answer.read() == b"value"
    client.remove_object(bucket_name=bucket, object_name="folder/word")
    with pytest.raises(MinioAdminException, match="AccessDenied"):
        MinioAdmin(endpoint=host, credentials=EnvAWSProvider(), secure=False).user_list()


@pytest.mark.usefixtures("variables")
def test_spark_works_by_its_own_variable(running: Environment) -> None:
    """The builder reads SPARK_REMOTE; the handle's session is another one."""
    sql = pytest.importorskip("pyspark.sql", reason="needs the extra `spark`")
    for session in (sql.SparkSession.builder.getOrCreate(), running.spark.session()):
        try:
            assert session.range(10).count() == 10
        finally:
            session.stop()


def test_zookeeper_is_where_its_variable_says(running: Environment, variables: dict[str, str]) -> None:
    """`host:port`, as Kafka's own settings take it."""
    assert variables["ZOOKEEPER_CONNECT"] == running.zookeeper.url

"""The contract of the official images, kept by those that are built here: one compose file serves both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.integration.images.contracts.conftest import Box

    Run = Callable[..., Box]


@dataclass(frozen=True)
class Contract:
    """What an image promises, and how to see it. `kept` writes, then reads `42` back; empty: it keeps nothing."""

    image: str
    uid: int
    program: str
    ready: str
    exit_code: int
    command: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    volumes: Sequence[str] = ()
    ports: Sequence[int] = ()
    stop_signal: str | None = None
    kept: tuple[str, str] = ("", "")
    settings: tuple[str, str] = ("", "")


SMALL_JVM = {"KAFKA_HEAP_OPTS": "-Xmx256m", "KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"}

CONTRACTS = (
    Contract(
        image="postgres",
        uid=999,
        program="postgres",
        ready="psql -h 127.0.0.1 -U postgres -c 'SELECT 1'",
        exit_code=0,
        variables={"POSTGRES_PASSWORD": "word"},
        volumes=["/var/lib/postgresql/data"],
        ports=[5432],
        stop_signal="SIGINT",
        kept=("psql -U postgres -c 'CREATE TABLE kept AS SELECT 42 AS n'", "psql -U postgres -Atc 'TABLE kept'"),
    ),
    Contract(
        image="redis",
        uid=999,
        program="redis-server",
        ready="redis-cli ping | grep -qx PONG",
        exit_code=0,
        volumes=["/data"],
        ports=[6379],
        kept=("redis-cli set kept 42", "redis-cli get kept"),
    ),
    Contract(
        image="zookeeper",
        uid=1000,
        program="java",
        ready="bash -c 'exec 3<>/dev/tcp/127.0.0.1/2181 && printf srvr >&3 && timeout 2 cat <&3 | grep -q ^Mode:'",
        exit_code=143,
        variables={"ZOOKEEPER_CLIENT_PORT": "2181", "ZOOKEEPER_TICK_TIME": "1500", **SMALL_JVM},
        volumes=["/var/lib/zookeeper/data", "/var/lib/zookeeper/log", "/etc/zookeeper/secrets"],
        ports=[2181, 2888, 3888],
        kept=("zookeeper-shell 127.0.0.1:2181 create /kept 42", "zookeeper-shell 127.0.0.1:2181 get /kept"),
        settings=("/etc/kafka/zookeeper.properties", "tickTime=1500"),
    ),
    Contract(
        image="kafka",
        uid=1000,
        program="java",
        ready="bash -c '</dev/tcp/127.0.0.1/9092'",
        exit_code=143,
        variables={
            "KAFKA_BROKER_ID": "1",
            "KAFKA_ZOOKEEPER_CONNECT": "127.0.0.1:2181",
            "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://127.0.0.1:9092",
            "KAFKA_LOG_RETENTION_HOURS": "7",
            **SMALL_JVM,
        },
        volumes=["/var/lib/kafka/data", "/etc/kafka/secrets"],
        ports=[9092],
        kept=(
            "kafka-topics --bootstrap-server 127.0.0.1:9092 --create --topic kept-42",
            "kafka-topics --bootstrap-server 127.0.0.1:9092 --list",
        ),
        settings=("/etc/kafka/kafka.properties", "log.retention.hours=7"),
    ),
    Contract(
        image="minio",
        uid=0,
        program="minio",
        ready="curl -fsS -o /dev/null http://127.0.0.1:9000/minio/health/cluster",
        exit_code=0,
        command=["server", "/data", "--console-address", ":9001"],
        variables={
            "MINIO_ROOT_USER": "somebody",
            "MINIO_ROOT_PASSWORD": "some-password",
            "MINIO_UPDATE": "off",
            "MC_HOST_here": "http://somebody:some-password@127.0.0.1:9000",
        },
        volumes=["/data"],
        ports=[9000],
        kept=("mc mb here/kept-42", "mc ls here"),
    ),
    Contract(
        image="spark-connect",
        uid=185,
        program="java",
        ready="bash -c '</dev/tcp/127.0.0.1/15002'",
        exit_code=143,
        command=[
            *("/opt/spark/bin/spark-submit", "--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
            *("--master", "local[1]", "--conf", "spark.ui.enabled=false"),
        ],
    ),
)


@pytest.fixture(scope="module", params=CONTRACTS, ids=lambda contract: contract.image)
def contract(request: pytest.FixtureRequest) -> Contract:
    """Each image's contract in its turn."""
    found: Contract = request.param
    return found


@pytest.fixture(scope="module")
def server(run: Run, contract: Contract) -> Box:
    """Its server, ready; Kafka's shares the network of a ZooKeeper."""
    options = {}
    if contract.image == "kafka":
        zookeeper = run("zookeeper", environment={"ZOOKEEPER_CLIENT_PORT": "2181", **SMALL_JVM})
        options["network_mode"] = f"container:{zookeeper.container.id}"
    started = run(contract.image, *contract.command, environment=dict(contract.variables), **options)
    started.answers(contract.ready)
    return started


def test_the_image_declares_volumes_ports_and_stop_signal(image_of: Callable[[str], Any], contract: Contract) -> None:
    """As an inspect shows them."""
    config = image_of(contract.image).attrs["Config"]
    assert {*(config.get("Volumes") or {})} == {*contract.volumes}
    assert {*(config.get("ExposedPorts") or {})} == {f"{port}/tcp" for port in contract.ports}
    assert config.get("StopSignal") == contract.stop_signal


def test_process_1_is_the_server_under_its_user(server: Box, contract: Contract) -> None:
    """So that a signal reaches it, and files belong to whom they belonged with the official image."""
    status = dict(line.split(":\t", 1) for line in server.answers("cat /proc/1/status").splitlines() if ":\t" in line)
    assert (status["Name"], status["Uid"].split()[0]) == (contract.program, str(contract.uid))


def test_volumes_belong_to_the_server(server: Box, contract: Contract) -> None:
    """Those that the engine made for it, without any help."""
    mounted = {mount["Destination"] for mount in server.facts["Mounts"] if mount["Type"] == "volume"}
    assert mounted == {*contract.volumes}
    for path in contract.volumes:
        assert server.answers(f"stat -c %u {path}").strip() == str(contract.uid)


def test_variables_become_settings(server: Box, contract: Contract) -> None:
    """By the rules of the official image."""
    file, line = contract.settings
    if not file:
        pytest.skip("has no settings by variables")
    assert line in server.answers(f"cat {file}").splitlines()


def test_it_stops_cleanly_and_keeps_its_data(server: Box, contract: Contract) -> None:
    """By its own signal, within the grace that the compose files allow; then it starts with what it had."""
    write, read = contract.kept
    if write:
        server.answers(write)
    server.container.stop(timeout=30)
    assert server.facts["State"]["ExitCode"] == contract.exit_code, server.container.logs(tail=20).decode()
    server.container.start()
    server.answers(contract.ready)
    if read:
        assert "42" in server.answers(read)

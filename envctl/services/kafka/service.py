"""What envctl must know of Kafka: two identities, two listeners for this machine, one topic of its own."""

from __future__ import annotations

import secrets
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.kafka import requests
from envctl.services.kafka.chaos import KafkaCredentials, KafkaTransactions
from envctl.services.kafka.chaos.clock import KafkaClock
from envctl.services.kafka.chaos.disk import KafkaDisk
from envctl.services.kafka.chaos.ways import KafkaWays
from envctl.services.kafka.handle import KafkaHandle
from envctl.services.kafka.requests import Acl, Operation, Resource
from envctl.services.kafka.sasl import SCRAM, login_plain, login_scram, set_scram
from envctl.services.kafka.wire import UNKNOWN_TOPIC, Connection, Failed
from envctl.services.wire import admin_of, app_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.capabilities import HasCredentials, Transactional
    from envctl.model import Endpoint, Identity
    from envctl.protocols import HasHandle, HasIdentities, HasOptions, HasShell, HasVariables, Service
    from envctl.seeding.loading import Job, Loader, Seedable

READY_TOPIC = "__envctl_ready"
# Small, and stored as sent, so that the round trip may look for its bytes.
# The broker's own timestamps, so that it tells its time, and takes records of clients whose clocks differ from its.
_READY_SETTINGS = {
    "retention.bytes": "1048576",
    "segment.bytes": "1048576",
    "compression.type": "uncompressed",
    "message.timestamp.type": "LogAppendTime",
}

APP = "User:app"
ANONYMOUS = "User:ANONYMOUS"


def rights() -> tuple[Acl, ...]:
    """What the tests may do, logged in (app) or not (ANONYMOUS): everything but administer the cluster itself.

    Both principals belong into one request: the first line of a resource ends `allow.everyone.if.no.acl.found` for
    it, and whoever is not in the same request is locked out until his own comes. The last line keeps envctl's topic
    out of the lists that the plaintext listener gives.
    """
    everything = [(Resource.TOPIC, "*"), (Resource.GROUP, "*"), (Resource.TRANSACTIONAL_ID, "*")]
    cluster = [Operation.CREATE, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS, Operation.IDEMPOTENT_WRITE]
    return (
        *(Acl(kind, name, who, Operation.ALL) for kind, name in everything for who in (APP, ANONYMOUS)),
        *(Acl(Resource.CLUSTER, "kafka-cluster", who, what) for what in cluster for who in (APP, ANONYMOUS)),
        Acl(Resource.TOPIC, READY_TOPIC, ANONYMOUS, Operation.ALL, allow=False),
    )


class Kafka(KafkaCredentials, KafkaTransactions, KafkaDisk, KafkaClock, KafkaWays):
    """One broker in ZooKeeper mode with a plaintext and a SASL listener on this machine."""

    name = "kafka"
    ports: Mapping[str, int] = MappingProxyType({"kafka": 9092, "sasl": 9094})
    standard: Mapping[str, int] = ports
    admin_name = "envctl"
    app_name = "app"
    # Kafka leaves writing to disk to the system's page cache anyway: there is no durability left to trade.
    fast: Mapping[str, str] = MappingProxyType({})
    fast_cost = ""

    def secret_files(self, admin: Identity, app: Identity) -> Mapping[str, str]:  # noqa: ARG002 - made by provision
        """The passwords, and the broker's JAAS file: the admin logs in by PLAIN before any SCRAM user exists."""
        word = admin.password.replace("\\", "\\\\").replace('"', '\\"')
        plain = f'username="{admin.username}" password="{word}" user_{admin.username}="{word}"'
        module = "org.apache.kafka.common.security"
        jaas = (
            f"KafkaServer {{ {module}.plain.PlainLoginModule required {plain};"
            f" {module}.scram.ScramLoginModule required; }};\n"
        )
        return {"admin": admin.password, "jaas": jaas}

    def provision(self, at: Endpoint, timeout: float) -> None:
        """Give the app its SCRAM credential and the tests their rights, and make the topic of the round trip."""
        with Connection(at.host, at.ports["sasl"], timeout) as connection:
            login_plain(connection, admin_of(at))
            set_scram(connection, app_of(at))
            requests.create_acls(connection, rights())
            requests.create_topic(connection, READY_TOPIC, _READY_SETTINGS)

    def ping(self, at: Endpoint, timeout: float) -> None:
        """Return when both listeners name the address that they are reached at, and a record of the app's came back.

        Cheapest first: while the broker boots, an attempt ends at its first refused connection.
        """
        deadline = time.monotonic() + timeout
        with Connection(at.host, at.port, timeout) as connection:
            _check_advertised(connection, at.address)
        left = max(deadline - time.monotonic(), 0.001)
        with Connection(at.host, at.ports["sasl"], left) as connection:
            login_scram(connection, app_of(at))
            _check_advertised(connection, f"{at.host}:{at.ports['sasl']}")
            _round_trip(connection)

    def apply_options(self, model: dict[str, Any], options: Mapping[str, str]) -> None:
        """Set names of server.properties (`log.retention.ms`) as the image's KAFKA_* variables."""
        environment = model.setdefault("environment", {})
        for option, value in options.items():
            # The image turns ___ into -, __ into _ and _ into a dot; compose takes `$$` for a dollar sign.
            words = option.replace("_", "__").replace("-", "___").replace(".", "_").upper()
            environment[f"KAFKA_{words}"] = value.replace("$", "$$")

    def advertise(self, model: dict[str, Any], ports: Mapping[str, int]) -> None:
        """Let the broker tell its clients the host ports that were chosen, on both listeners for this machine."""
        environment = model["environment"]
        listeners = dict(item.split("://", 1) for item in environment["KAFKA_ADVERTISED_LISTENERS"].split(","))
        listeners |= {"HOST": f"127.0.0.1:{ports['kafka']}", "SASL": f"127.0.0.1:{ports['sasl']}"}
        environment["KAFKA_ADVERTISED_LISTENERS"] = ",".join(f"{name}://{at}" for name, at in listeners.items())

    def variables(self, at: Endpoint) -> Mapping[str, str]:
        """Both listeners, and the app's login to the second."""
        app = app_of(at)
        return {
            "KAFKA_BOOTSTRAP_SERVERS": at.address,
            "KAFKA_SASL_BOOTSTRAP_SERVERS": f"{at.host}:{at.ports['sasl']}",
            "KAFKA_SASL_MECHANISM": SCRAM,
            "KAFKA_SASL_USERNAME": app.username,
            "KAFKA_SASL_PASSWORD": app.password,
        }

    def secret_variables(self) -> frozenset[str]:
        """The app's password."""
        return frozenset({"KAFKA_SASL_PASSWORD"})

    def shell(self, at: Endpoint) -> tuple[Sequence[str], Mapping[str, str]]:  # noqa: ARG002 - the same everywhere
        """A bash with Kafka's tools and $BOOTSTRAP; the listener for containers takes no login."""
        hello = "echo 'Try: kafka-topics --bootstrap-server $BOOTSTRAP --list'; exec bash"
        return ["bash", "-c", hello], {"BOOTSTRAP": "kafka:29092", "KAFKA_OPTS": ""}

    def loader(self, at: Endpoint, job: Job) -> Loader:
        """The loader of a dataset's topics."""
        from envctl.services.kafka.seeding.loader import KafkaLoader  # numpy and Arrow: only who seeds pays

        return KafkaLoader(at, job)

    def clear(self, at: Endpoint, footprint: Mapping[str, Any]) -> str:
        """Delete a dataset's topics."""
        from envctl.services.kafka.seeding.loader import clear

        return clear(at, footprint)

    def handle(self, at: Endpoint) -> KafkaHandle:
        """Producers, consumers and an admin client for the tests."""
        return KafkaHandle(at)


def _check_advertised(connection: Connection, wanted: str) -> None:
    """A client follows the address in the metadata, so it must be the one that works from here."""
    found = requests.metadata(connection)
    if wanted not in found.brokers:
        raise NotReady(f"{wanted} advertises {', '.join(found.brokers) or 'no broker yet'}")
    if found.controller < 0:
        raise NotReady(f"{wanted} knows no controller yet")


def _round_trip(connection: Connection) -> None:
    token = secrets.token_bytes(16)
    try:
        offset = requests.produce(connection, READY_TOPIC, token).offset
    except Failed as error:
        if error.code == UNKNOWN_TOPIC:
            # A test that deletes all topics took it along.
            requests.create_topic(connection, READY_TOPIC, _READY_SETTINGS)
        raise
    if token not in requests.fetch(connection, READY_TOPIC, offset):
        raise NotReady("a record that was acknowledged did not come back")


if TYPE_CHECKING:
    _service: Service = Kafka()
    _identities: HasIdentities = Kafka()
    _options: HasOptions = Kafka()
    _variables: HasVariables = Kafka()
    _shell: HasShell = Kafka()
    _handle: HasHandle = Kafka()
    _seedable: Seedable = Kafka()
    _credentials: HasCredentials = Kafka()
    _transactions: Transactional = Kafka()

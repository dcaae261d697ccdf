"""Kafka's encodings against kafka-python's, its rights, its options and its connection data."""

from __future__ import annotations

from typing import Any

import pytest

from envctl.model import Endpoint, Identity
from envctl.protocols import NotReady
from envctl.services.kafka import Kafka
from envctl.services.kafka.record import crc32c, record_batch
from envctl.services.kafka.requests import Acl, Operation, Resource, create_acls
from envctl.services.kafka.sasl import set_scram
from envctl.services.kafka.service import ANONYMOUS, APP, READY_TOPIC, rights
from envctl.services.kafka.wire import Connection, Reader, compact, varint, zigzag

# kafka-python, imported in the tests that use it, reads its schemas in a way that Python 3.11 and 3.12 deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:(open|read)_text is deprecated:DeprecationWarning")

AT = Endpoint(
    "kafka", "127.0.0.1", {"kafka": 20192, "sasl": 20194}, Identity("envctl", "admin-word"), Identity("app", "app-word")
)


class Recorder(Connection):
    """A connection that keeps the body of the request and answers with nothing."""

    def __init__(self) -> None:
        self.body = b""

    def call(self, api: int, version: int, body: bytes, *, flexible: bool = False) -> Reader:  # noqa: ARG002
        """Keep the body."""
        self.body = body
        return Reader(bytes(16))


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, b"\0"), (1, b"\x01"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")]
)
def test_varints_have_seven_bits_a_byte(value: int, encoded: bytes) -> None:
    """Values around the first border, and the textbook's 300."""
    assert varint(value) == encoded
    assert Reader(compact(bytes(value))).compact_length() == value


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, b"\0"), (-1, b"\x01"), (1, b"\x02"), (-64, b"\x7f"), (64, b"\x80\x01")]
)
def test_signed_varints_alternate_between_positive_and_negative(value: int, encoded: bytes) -> None:
    """0, -1, 1, -2, … as Kafka's records have it."""
    assert zigzag(value) == encoded


def test_the_checksum_is_castagnolis() -> None:
    """The check value of CRC-32C's definition."""
    assert crc32c(b"123456789") == 0xE3069283


def test_another_client_reads_the_record_batch() -> None:
    """kafka-python finds one record with the value and the time, and the checksum right."""
    from kafka.record import MemoryRecords

    batches = MemoryRecords(record_batch(b"a value", 1_700_000_000_000))
    batch = batches.next_batch()
    assert batch is not None
    assert batch.validate_crc()
    (record,) = list(batch)
    assert (record.value, record.key, record.timestamp, record.offset) == (b"a value", None, 1_700_000_000_000, 0)
    assert not batches.has_next()


def test_another_client_reads_the_scram_credential() -> None:
    """kafka-python decodes the request and finds the user, the mechanism and a salted password that is not plain."""
    from kafka.protocol.admin import AlterUserScramCredentialsRequest

    connection = Recorder()
    set_scram(connection, Identity("app", "app-word"))
    request = AlterUserScramCredentialsRequest.decode(connection.body, version=0)
    (upsertion,) = request.upsertions
    assert (upsertion.name, upsertion.mechanism, upsertion.iterations) == ("app", 2, 4096)
    assert (len(upsertion.salt), len(upsertion.salted_password)) == (32, 64)
    assert b"app-word" not in connection.body


def test_another_client_reads_the_acls() -> None:
    """kafka-python decodes the same lines in the same order."""
    from kafka.protocol.admin import CreateAclsRequest

    connection = Recorder()
    create_acls(
        connection,
        [Acl(Resource.TOPIC, "*", APP, Operation.ALL), Acl(Resource.GROUP, "g", APP, Operation.ALL, allow=False)],
    )
    request = CreateAclsRequest.decode(connection.body, version=1)
    assert [
        (c.resource_type, c.resource_name, c.resource_pattern_type, c.principal, c.host, c.operation, c.permission_type)
        for c in request.creations
    ] == [(2, "*", 3, APP, "*", 2, 3), (3, "g", 3, APP, "*", 2, 2)]


@pytest.mark.parametrize("answer", [b"", b"\0", b"\xff" * 3])
def test_an_answer_that_is_too_short_is_not_ready(answer: bytes) -> None:
    """Never an IndexError or a struct.error."""
    with pytest.raises(NotReady):
        Reader(answer).number("i")


def test_whoever_may_use_a_resource_is_named_in_the_same_request() -> None:
    """Else the first line of a resource would lock the other principal out until its own comes."""
    allowed = [(acl.resource, acl.name, acl.operation, acl.principal) for acl in rights() if acl.allow]
    resources = {entry[:3] for entry in allowed}
    assert {entry[0] for entry in resources} == set(Resource)
    assert sorted(allowed) == sorted((*resource, who) for resource in resources for who in (APP, ANONYMOUS))


def test_nobody_of_the_tests_may_administer_the_cluster() -> None:
    """ALTER (rights, credentials), ALTER_CONFIGS and CLUSTER_ACTION stay with the super user."""
    cluster = {acl.operation for acl in rights() if acl.resource is Resource.CLUSTER}
    assert cluster == {Operation.CREATE, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS, Operation.IDEMPOTENT_WRITE}


def test_the_own_topic_is_hidden_from_those_who_do_not_log_in() -> None:
    """The one line that denies."""
    assert [acl for acl in rights() if not acl.allow] == [
        Acl(Resource.TOPIC, READY_TOPIC, ANONYMOUS, Operation.ALL, allow=False)
    ]


def test_a_password_cannot_break_out_of_the_jaas_file() -> None:
    """Quotes and backslashes are escaped."""
    files = Kafka().secret_files(Identity("envctl", 'a"b\\c'), Identity("app", "app-word"))
    assert 'password="a\\"b\\\\c" user_envctl="a\\"b\\\\c";' in files["jaas"]
    assert files["admin"] == 'a"b\\c'


def test_options_of_server_properties_become_the_images_variables() -> None:
    """Dots, underscores and dashes as the official image tells them apart."""
    model: dict[str, Any] = {}
    Kafka().apply_options(model, {"log.retention.ms": "5", "a_b-c": "$x"})
    assert model == {"environment": {"KAFKA_LOG_RETENTION_MS": "5", "KAFKA_A__B___C": "$$x"}}


def test_the_chosen_ports_are_advertised_and_the_inner_listeners_stay() -> None:
    """Only what this machine uses moves with the ports."""
    inner = "INTERNAL://kafka:29092,BROKER://kafka:29093"
    name = "KAFKA_ADVERTISED_LISTENERS"
    model = {"environment": {name: f"{inner},HOST://127.0.0.1:9092,SASL://127.0.0.1:9094"}}
    Kafka().advertise(model, AT.ports)
    assert model["environment"][name] == f"{inner},HOST://127.0.0.1:20192,SASL://127.0.0.1:20194"


def test_the_variables_are_the_promised_ones() -> None:
    """The names of the documented interface, for the app."""
    assert Kafka().variables(AT) == {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:20192",
        "KAFKA_SASL_BOOTSTRAP_SERVERS": "127.0.0.1:20194",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": "app",
        "KAFKA_SASL_PASSWORD": "app-word",
    }


def test_the_handle_names_both_listeners_and_shows_no_password() -> None:
    """`url` for clients that know nothing else."""
    handle = Kafka().handle(AT)
    assert (handle.url, handle.sasl_url) == ("127.0.0.1:20192", "127.0.0.1:20194")
    assert "word" not in repr(handle)

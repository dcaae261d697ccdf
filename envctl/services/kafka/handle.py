"""`env.kafka`: clients of kafka-python for the tests' identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envctl.services.kafka.sasl import SCRAM
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

    from envctl.model import Endpoint


@dataclass(frozen=True)
class KafkaHandle:
    """Clients as the app identity; with `sasl=True` by SCRAM login, else through the plaintext listener.

    Further settings go to kafka-python as they are and win over envctl's.
    """

    endpoint: Endpoint

    @property
    def url(self) -> str:
        """`host:port` of the plaintext listener: `bootstrap.servers` of any client."""
        return self.endpoint.address

    @property
    def sasl_url(self) -> str:
        """`host:port` of the listener that wants a SCRAM-SHA-512 login."""
        return f"{self.endpoint.host}:{self.endpoint.ports['sasl']}"

    def settings(self, *, sasl: bool = False) -> dict[str, Any]:
        """What kafka-python's clients need to connect."""
        if not sasl:
            return {"bootstrap_servers": [self.url]}
        app = app_of(self.endpoint)
        return {
            "bootstrap_servers": [self.sasl_url],
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": SCRAM,
            "sasl_plain_username": app.username,
            "sasl_plain_password": app.password,
        }

    # kafka-python costs 130 ms to import: only who uses it pays.

    def producer(self, *, sasl: bool = False, **settings: object) -> KafkaProducer:
        """A `kafka.KafkaProducer`."""
        from kafka import KafkaProducer

        return KafkaProducer(**{**self.settings(sasl=sasl), **settings})

    def consumer(self, *topics: str, sasl: bool = False, **settings: object) -> KafkaConsumer:
        """A `kafka.KafkaConsumer`, subscribed to the topics; from their beginning unless told otherwise."""
        from kafka import KafkaConsumer

        defaults = {"auto_offset_reset": "earliest"}
        return KafkaConsumer(*topics, **{**defaults, **self.settings(sasl=sasl), **settings})

    def admin(self, *, sasl: bool = False, **settings: object) -> KafkaAdminClient:
        """A `kafka.KafkaAdminClient` with the app's rights."""
        from kafka import KafkaAdminClient

        return KafkaAdminClient(**{**self.settings(sasl=sasl), **settings})

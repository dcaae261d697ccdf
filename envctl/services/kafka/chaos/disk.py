"""What a full, read-only or slow disk means to Kafka: where its data lies, and a write that reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.services.kafka import requests
from envctl.services.kafka.sasl import login_plain
from envctl.services.kafka.wire import Connection
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from envctl.model import Endpoint


class KafkaDisk:
    """`KeepsData`."""

    data_directory = "/var/lib/kafka/data"
    writes_need_room = True
    syncs = False
    remembers = 0.0

    def write(self, at: Endpoint, timeout: float) -> None:
        """Have a record acknowledged in envctl's own topic, from which old ones go by themselves."""
        from envctl.services.kafka.service import READY_TOPIC

        with Connection(at.host, at.ports["sasl"], timeout) as connection:
            login_plain(connection, admin_of(at))
            requests.produce(connection, READY_TOPIC, b"")

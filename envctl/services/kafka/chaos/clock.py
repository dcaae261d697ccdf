"""What time Kafka has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.protocols import NotReady
from envctl.services.kafka import requests
from envctl.services.kafka.sasl import login_plain
from envctl.services.kafka.wire import Connection
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from envctl.model import Endpoint


class KafkaClock:
    """`TellsTime`."""

    def clock(self, at: Endpoint, timeout: float) -> float:
        """The timestamp that the broker gives a record in envctl's own topic, to the millisecond."""
        from envctl.services.kafka.service import READY_TOPIC

        with Connection(at.host, at.ports["sasl"], timeout) as connection:
            login_plain(connection, admin_of(at))
            appended = requests.produce(connection, READY_TOPIC, b"")
        if appended.at_ms < 0:
            raise NotReady(f"{READY_TOPIC} keeps the clients' timestamps: it was made by an older envctl")
        return appended.at_ms / 1000

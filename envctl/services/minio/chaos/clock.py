"""What time MinIO has."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from envctl.protocols import NotReady
from envctl.services.wire import Wire

if TYPE_CHECKING:
    from envctl.model import Endpoint


class MinioClock:
    """`TellsTime`."""

    def clock(self, at: Endpoint, timeout: float) -> float:
        """The `Date` of an answer to a request that needs no signature; whole seconds."""
        with Wire(at.host, at.port, timeout) as wire:
            wire.send(f"GET /minio/health/live HTTP/1.1\r\nHost: {at.address}\r\nConnection: close\r\n\r\n".encode())
            head = wire.rest().partition(b"\r\n\r\n")[0].decode(errors="replace")
        for line in head.splitlines():
            name, _, value = line.partition(": ")
            if name.lower() == "date":
                return parsedate_to_datetime(value).timestamp()
        raise NotReady(f"an answer without a date: {head[:80]!r}")

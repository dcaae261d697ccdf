"""A PostgreSQL session of the few messages that a ping and the first administration need (protocol 3.0)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Self

from envctl.protocols import NotReady
from envctl.services.postgres.scram import Exchange
from envctl.services.wire import Wire

if TYPE_CHECKING:
    from envctl.model import Endpoint, Identity

_PROTOCOL = 3 << 16
_OK, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 10, 11, 12


class Session:
    """A full login as `identity` to `database`, all within `timeout` seconds. Use it as a context manager.

    Raises:
        NotReady: refused, starting up, closed: the server's own message and SQLSTATE where it sent one.

    """

    def __init__(self, at: Endpoint, identity: Identity, database: str, timeout: float) -> None:
        self._wire = Wire(at.host, at.port, timeout)
        try:
            self._log_in(identity, database, own=identity == at.admin)
        except BaseException:
            self._wire.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._wire:
            # After a failure the reason for it is the message, not that a farewell could not be said.
            if kind is None:
                self._wire.send(b"X\0\0\0\4")

    def query(self, sql: str) -> list[list[str | None]]:
        """Run one or more statements, as one transaction; the rows of all, each value as text.

        Raises:
            NotReady: the server refused, with its message.

        """
        self._send(b"Q", sql.encode() + b"\0")
        rows = []
        while (message := self._receive())[0] != b"Z":
            kind, body = message
            if kind == b"D":
                rows.append(_row(body))
        return rows

    def _log_in(self, identity: Identity, database: str, *, own: bool) -> None:
        fields = ["user", identity.username, "database", database, "application_name", "envctl"]
        if own:
            # A fault may have made the server read-only; it must not stand in the way of healing another.
            fields += ["options", "-c default_transaction_read_only=off"]
        body = struct.pack("!i", _PROTOCOL) + "\0".join([*fields, "", ""]).encode()
        self._wire.send(struct.pack("!i", len(body) + 4) + body)
        try:
            self._authenticate(identity)
        except (ValueError, struct.error) as error:
            raise NotReady(f"the login went wrong: {error}") from error
        while self._receive()[0] != b"Z":
            continue

    def _authenticate(self, identity: Identity) -> None:
        exchange = Exchange(identity.password)
        while True:
            kind, body = self._receive()
            if kind != b"R":
                raise ValueError("what answers is not PostgreSQL")
            step, data = struct.unpack("!i", body[:4])[0], body[4:]
            if step == _OK:
                return
            if step == _SASL:
                first = exchange.first
                self._send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
            elif step == _SASL_CONTINUE:
                self._send(b"p", exchange.final(data))
            elif step != _SASL_FINAL:
                raise ValueError(f"authentication method {step} instead of scram-sha-256")
            elif not exchange.confirms(data):
                raise ValueError("the server does not know the password that it accepted")

    def _send(self, kind: bytes, body: bytes) -> None:
        self._wire.send(kind + struct.pack("!i", len(body) + 4) + body)

    def _receive(self) -> tuple[bytes, bytes]:
        kind, size = struct.unpack("!ci", self._wire.exactly(5))
        # No answer here is longer than a few hundred bytes: more means that something else speaks.
        if not 4 <= size <= 1 << 20:  # noqa: PLR2004 - explained above
            raise NotReady("what answers is not PostgreSQL")
        body = self._wire.exactly(size - 4)
        if kind == b"E":
            raise NotReady(_refusal(body))
        return kind, body


def _refusal(body: bytes) -> str:
    """`password authentication failed for user "app" (28P01)`."""
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return f"{fields.get(b'M', 'refused')} ({fields.get(b'C', '?')})"


def _row(body: bytes) -> list[str | None]:
    (count,) = struct.unpack_from("!h", body)
    values: list[str | None] = []
    offset = 2
    for _ in range(count):
        (size,) = struct.unpack_from("!i", body, offset)
        offset += 4
        values.append(None if size < 0 else body[offset : offset + size].decode())
        offset += max(size, 0)
    return values

"""Logging in: SASL PLAIN for the admin, SCRAM-SHA-512 (RFC 5802) for the app."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import struct
from typing import TYPE_CHECKING

from envctl.protocols import NotReady
from envctl.services.kafka.wire import check, compact, data, string, varint

if TYPE_CHECKING:
    from envctl.model import Identity
    from envctl.services.kafka.wire import Connection

SCRAM = "SCRAM-SHA-512"
# The least that Kafka allows, and kafka-configs' default.
_ITERATIONS = 4096


def login_plain(connection: Connection, identity: Identity) -> None:
    """Log in with SASL PLAIN."""
    _handshake(connection, "PLAIN")
    _authenticate(connection, identity, f"\0{identity.username}\0{identity.password}".encode())


def login_scram(connection: Connection, identity: Identity) -> None:
    """Log in with SASL SCRAM-SHA-512 (RFC 5802), and make sure that the broker knows the password too."""
    _handshake(connection, SCRAM)
    first = f"n={identity.username},r={secrets.token_urlsafe(18)}"
    challenge = _authenticate(connection, identity, f"n,,{first}".encode()).decode()
    told = dict(part.partition("=")[::2] for part in challenge.split(","))
    if not told.keys() >= {"r", "s", "i"}:
        raise NotReady("the answer is not SCRAM's")
    salted = _salted(identity.password, base64.b64decode(told["s"]), int(told["i"]))
    final = f"c=biws,r={told['r']}"
    exchange = f"{first},{challenge},{final}".encode()
    key = _hmac(salted, b"Client Key")
    signature = _hmac(hashlib.sha512(key).digest(), exchange)
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
    answer = _authenticate(connection, identity, f"{final},p={proof}".encode())
    expected = b"v=" + base64.b64encode(_hmac(_hmac(salted, b"Server Key"), exchange))
    if not hmac.compare_digest(answer, expected):
        raise NotReady(f"the broker does not know the password of {identity.username}")


def _handshake(connection: Connection, mechanism: str) -> None:
    check(f"SASL {mechanism}", connection.call(17, 1, string(mechanism)).number("h"))


def _authenticate(connection: Connection, identity: Identity, token: bytes) -> bytes:
    response = connection.call(36, 0, data(token))
    check(f"log in as {identity.username}", response.number("h"), response.string())
    return response.bytes()


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha512")


def _salted(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)


def set_scram(connection: Connection, identity: Identity) -> None:
    """Create or replace the SCRAM-SHA-512 credential of one user."""
    salt = secrets.token_bytes(32)
    upsertion = (
        compact(identity.username.encode())
        + struct.pack(">bi", 2, _ITERATIONS)
        + compact(salt)
        + compact(_salted(identity.password, salt, _ITERATIONS))
        + b"\0"
    )
    none, one, no_tags = varint(1), varint(2), b"\0"
    response = connection.call(51, 0, none + one + upsertion + no_tags, flexible=True)
    response.number("i")
    for _ in range(response.compact_length()):
        response.take(response.compact_length())
        code, message = response.number("h"), response.take(response.compact_length()).decode(errors="replace")
        check(f"SCRAM credential of {identity.username}", code, message)
        response.take(1)

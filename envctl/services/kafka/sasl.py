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
# Its number in the requests that alter credentials.
_MECHANISM = 2
# The least that Kafka allows, and kafka-configs' default.
_ITERATIONS = 4096


def login_plain(connection: Connection, identity: Identity) -> None:
    """Log in with SASL PLAIN."""
    _handshake(connection, "PLAIN")
    _authenticate(connection, identity.username, f"\0{identity.username}\0{identity.password}".encode())


def login_scram(connection: Connection, identity: Identity) -> None:
    """Log in with SASL SCRAM-SHA-512 (RFC 5802), and make sure that the broker knows the password too."""
    _handshake(connection, SCRAM)
    first = _first(identity.username)
    asked = _authenticate(connection, identity.username, f"n,,{first}".encode()).decode()
    told = _told(asked)
    salted = _salted(identity.password, base64.b64decode(told["s"]), int(told["i"]))
    final = f"c=biws,r={told['r']}"
    exchange = f"{first},{asked},{final}".encode()
    key = _hmac(salted, b"Client Key")
    signature = _hmac(hashlib.sha512(key).digest(), exchange)
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
    answer = _authenticate(connection, identity.username, f"{final},p={proof}".encode())
    expected = b"v=" + base64.b64encode(_hmac(_hmac(salted, b"Server Key"), exchange))
    if not hmac.compare_digest(answer, expected):
        raise NotReady(f"the broker does not know the password of {identity.username}")


def salt_of(connection: Connection, user: str) -> str:
    """The salt, in base64, that the broker tells anybody who begins to log in as a user; such a login ends here.

    Raises:
        Failed: with LOGIN_REFUSED where it knows no such user.

    """
    _handshake(connection, SCRAM)
    return _told(_authenticate(connection, user, f"n,,{_first(user)}".encode()).decode())["s"]


def delete_scram(connection: Connection, user: str) -> None:
    """Delete the SCRAM-SHA-512 credential of one user."""
    none, one, no_tags = varint(1), varint(2), b"\0"
    deletion = compact(user.encode()) + struct.pack(">b", _MECHANISM) + no_tags
    _alter(connection, user, one + deletion + none + no_tags)


def _handshake(connection: Connection, mechanism: str) -> None:
    check(f"SASL {mechanism}", connection.call(17, 1, string(mechanism)).number("h"))


def _first(user: str) -> str:
    name = user.replace("=", "=3D").replace(",", "=2C")
    return f"n={name},r={secrets.token_urlsafe(18)}"


def _told(challenge: str) -> dict[str, str]:
    told = dict(part.partition("=")[::2] for part in challenge.split(","))
    if not told.keys() >= {"r", "s", "i"}:
        raise NotReady("the answer is not SCRAM's")
    return told


def _authenticate(connection: Connection, user: str, token: bytes) -> bytes:
    response = connection.call(36, 0, data(token))
    check(f"log in as {user}", response.number("h"), response.string())
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
        + struct.pack(">bi", _MECHANISM, _ITERATIONS)
        + compact(salt)
        + compact(_salted(identity.password, salt, _ITERATIONS))
        + b"\0"
    )
    none, one, no_tags = varint(1), varint(2), b"\0"
    _alter(connection, identity.username, none + one + upsertion + no_tags)


def _alter(connection: Connection, user: str, body: bytes) -> None:
    response = connection.call(51, 0, body, flexible=True)
    response.number("i")
    for _ in range(response.compact_length()):
        response.take(response.compact_length())
        code, message = response.number("h"), response.take(response.compact_length()).decode(errors="replace")
        check(f"SCRAM credential of {user}", code, message)
        response.take(1)

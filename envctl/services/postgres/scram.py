"""SCRAM-SHA-256, the client's side (RFC 5802, RFC 7677), and the verifier that PostgreSQL stores instead of a password.

Passwords that envctl makes are ASCII, which SASLprep (RFC 4013) leaves as they are.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

ITERATIONS = 4096
"""PostgreSQL's own default (`scram_iterations`)."""


class Exchange:
    """One login: `first` goes out, `final` answers what came back, `confirms` checks the server's last word."""

    def __init__(self, password: str) -> None:
        self._password = password
        self._nonce = base64.b64encode(os.urandom(18)).decode()
        self._bare = f"n=,r={self._nonce}"
        self._signature = b""

    @property
    def first(self) -> bytes:
        """The client-first message; the name is in PostgreSQL's start-up message already."""
        return f"n,,{self._bare}".encode()

    def final(self, server_first: bytes) -> bytes:
        """The client-final message.

        Raises:
            ValueError: the server's message is malformed, or it did not take up our nonce.

        """
        fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
        if not {"r", "s", "i"} <= fields.keys() or not fields["r"].startswith(self._nonce):
            raise ValueError("a malformed SCRAM challenge")
        salted = _salted(self._password, base64.b64decode(fields["s"]), int(fields["i"]))
        proven = f"c=biws,r={fields['r']}"
        message = f"{self._bare},{server_first.decode()},{proven}".encode()
        client_key = _mac(salted, b"Client Key")
        signature = _mac(hashlib.sha256(client_key).digest(), message)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._signature = _mac(_mac(salted, b"Server Key"), message)
        return f"{proven},p={base64.b64encode(proof).decode()}".encode()

    def confirms(self, server_final: bytes) -> bool:
        """Whether the server knows the password too, so is the one that was meant."""
        return hmac.compare_digest(server_final, b"v=" + base64.b64encode(self._signature))


def verifier(password: str) -> str:
    """What goes into `ALTER ROLE … PASSWORD`, so that the password itself is in no statement and no server log."""
    salt = os.urandom(16)
    salted = _salted(password, salt, ITERATIONS)
    stored = hashlib.sha256(_mac(salted, b"Client Key")).digest()
    salt64, stored64, server64 = (
        base64.b64encode(part).decode() for part in (salt, stored, _mac(salted, b"Server Key"))
    )
    return f"SCRAM-SHA-256${ITERATIONS}:{salt64}${stored64}:{server64}"


def _salted(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")

"""Signed requests to MinIO (AWS Signature Version 4), and the encryption of its admin interface.

The `minio` package takes 150 ms to import, and its admin client encrypts with Argon2id: 64 MiB for one password, here
and again in the server. The server takes PBKDF2 as well (madmin-go, encrypt.go: `pbkdf2AESGCM`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import io
import os
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote

from envctl.protocols import NotReady
from envctl.services.wire import CLOSED, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.model import Endpoint, Identity

REGION = "us-east-1"
NO_HTTP = "what answers is not HTTP"
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Answer:
    """Status and body of a response, and the ETag without its quotes, where it has one."""

    status: int
    body: bytes
    etag: str = ""

    @property
    def code(self) -> str:
        """The error code of an S3 (XML) or admin (JSON) answer, else the status."""
        for before, after in ((b"<Code>", b"</Code>"), (b'"Code":"', b'"')):
            if before in self.body:
                return self.body.split(before, 1)[1].split(after, 1)[0].decode(errors="replace")
        return f"status {self.status}"


@dataclass(frozen=True)
class Requests:
    """Requests to one server, as `identity` or, without one, unsigned; each takes at most `timeout` seconds."""

    at: Endpoint
    timeout: float
    identity: Identity | None = None

    def send(self, method: str, path: str, query: Mapping[str, str] = _NONE, body: bytes = b"") -> Answer:
        """Send one request and read its whole answer.

        Raises:
            NotReady: no answer, or one that is not HTTP.

        """
        sorted_query = canonical(query)
        digest = hashlib.sha256(body).hexdigest()
        headers = signed(self.at, self.identity, (method, path, sorted_query), digest) if self.identity else {}
        headers |= {"host": self.at.address, "content-length": str(len(body)), "connection": "close"}
        lines = [
            f"{method} {path}{'?' if query else ''}{sorted_query} HTTP/1.1",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        # http.client's own time limit counts anew for every byte.
        with Wire(self.at.host, self.at.port, self.timeout) as wire:
            wire.send("\r\n".join([*lines, "", ""]).encode() + body)
            return _parsed(wire.rest())


class _Received:
    """What was received, in the place where http.client expects a socket."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._raw)


def _parsed(raw: bytes) -> Answer:
    import http.client

    if not raw:
        raise NotReady(CLOSED)
    response = http.client.HTTPResponse(_Received(raw))  # type: ignore[arg-type]  # it reads by makefile alone
    try:
        response.begin()
        return Answer(response.status, response.read())
    except http.client.IncompleteRead as error:
        raise NotReady(CLOSED) from error
    except (http.client.HTTPException, ValueError) as error:
        raise NotReady(NO_HTTP) from error


def canonical(query: Mapping[str, str]) -> str:
    """A query as it is signed and sent."""
    return "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items()))


def signed(
    at: Endpoint, identity: Identity, request: tuple[str, str, str], digest: str, more: Mapping[str, str] = _NONE
) -> dict[str, str]:
    """The headers that sign `request` (method, quoted path, canonical query) for now.

    `digest` is the body's SHA-256 in hexadecimal digits, or what stands in its place; `more` are the request's own
    `x-amz-…` headers.
    """
    now = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = dict(sorted({"host": at.address, "x-amz-content-sha256": digest, "x-amz-date": now, **more}.items()))
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = "\n".join((*request, lines, names, digest))
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{identity.password}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"Credential={identity.username}/{scope}"
    return {
        **headers,
        "authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}",
    }


def encrypt(payload: bytes, password: str) -> bytes:
    """`payload` (up to 16 KiB: one fragment) as MinIO's admin interface wants it: salt, algorithm, nonce, fragment.

    AES-256-GCM in the framing of `minio/sio`: fragments are numbered, and the last one authenticates itself as last.
    """
    from Crypto.Cipher import AES

    salt, nonce = os.urandom(32), os.urandom(8)
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 8192)
    associated = AES.new(key, AES.MODE_GCM, nonce + bytes(4)).digest()
    cipher = AES.new(key, AES.MODE_GCM, nonce + (1).to_bytes(4, "little"))
    cipher.update(b"\x80" + associated)
    sealed, tag = cipher.encrypt_and_digest(payload)
    return salt + b"\x02" + nonce + sealed + tag

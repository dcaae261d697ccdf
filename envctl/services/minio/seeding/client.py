"""Requests to MinIO over one connection that is kept, with bodies that are streamed and hashed by the server alone.

One PUT takes up to 5 TiB in MinIO, is there whole or not at all, and has the MD5 of its bytes for its ETag: so nothing
is ever sent in parts, and no upload can be left unfinished.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from envctl.errors import SeedFailed
from envctl.services.minio.requests import NO_HTTP, Answer, canonical, signed
from envctl.services.minio.seeding import framing
from envctl.services.wire import admin_of, network_reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from envctl.model import Endpoint
    from envctl.seeding.objects import Piece

STALL = 30.0
"""Seconds without any progress, after which the server counts as gone."""

ASKED_FIRST = 256 * 1024
"""Bytes of a body above which the server is asked whether it wants it. It reads up to that many of a body that it
refuses (Go, net/http: `maxPostHandlerReadBytes`); of a larger one it closes the connection, and why would be lost."""

_MORE: int = getattr(socket, "MSG_MORE", 0)
"""Said with what is followed by more. A chunk's frame of some bytes else travels in a packet of its own, which wakes
the engine's proxy and the server: 0.4 s of CPU for each GB, of all three together (measured)."""

OK = 200
NO_CONTENT = 204
_FORBIDDEN = 403
_NOTHING: Mapping[str, str] = MappingProxyType({})
_ROOM = "make room on the engine's disk, then run `envctl seed` again: it goes on; or use --scale"
_AGAIN = "look into `envctl logs minio`, bring it up with `envctl up`, then run `envctl seed` again: it goes on"
_ADVICE = {
    "RequestTimeTooSkewed": "set the clocks of this machine and of the engine's right; 15 minutes apart is too far",
    "XMinioStorageFull": _ROOM,
    "IncompleteBody": f"see whether the engine's disk is full, and {_AGAIN}",
    "no space left on device": _ROOM,
}
"""By the server's code, or words that it hands on from its system under a general code. On a disk that becomes full it
says now and then that it was sent too little: what it failed to write it takes for what it failed to read."""


class Client:
    """One connection as admin, opened when it is needed. Not thread-safe: each thread has its own.

    Every method raises `SeedFailed`, with `wanted` as what was wanted, when the network does not do its part.
    """

    def __init__(self, at: Endpoint) -> None:
        self._at, self._identity = at, admin_of(at)
        self._connection = http.client.HTTPConnection(at.host, at.port, STALL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def request(
        self,
        wanted: str,
        request: tuple[str, str],
        query: Mapping[str, str] = _NOTHING,
        body: bytes = b"",
        headers: Mapping[str, str] = _NOTHING,
    ) -> Answer:
        """Send one request (method, quoted path) and read its whole answer."""
        with self._speaking(wanted):
            digest = hashlib.sha256(body).hexdigest()
            self._begin(request, canonical(query), digest, {**headers, "content-length": str(len(body))}, body)
            return self._answer()

    def put(self, wanted: str, path: str, size: int, kind: str, pieces: Iterable[Piece]) -> Answer:
        """Send one object of `size` bytes, piece by piece; an error of `pieces` leaves nothing on the server.

        Nor does what arrives otherwise than it was sent: then the answer is no `OK`.
        """
        headers = {**framing.headers(size), "content-type": kind}
        asked = size > ASKED_FIRST
        with self._speaking(wanted):
            self._begin(("PUT", path), "", framing.UNSIGNED, headers | ({"expect": "100-continue"} if asked else {}))
            if not asked or self._is_wanted():
                self._send(framing.body(size, pieces))
            return self._answer()

    @contextmanager
    def _speaking(self, wanted: str) -> Iterator[None]:
        """Whatever ends a request before its answer ends the connection too."""
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            told = isinstance(error, OSError)
            raise SeedFailed(wanted, network_reason(error, STALL) if told else NO_HTTP, _AGAIN) from error
        except BaseException:
            self._connection.close()
            raise

    def _begin(
        self, request: tuple[str, str], query: str, digest: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> None:
        method, path = request
        connection = self._connection
        connection.putrequest(method, f"{path}?{query}" if query else path, skip_host=True, skip_accept_encoding=True)
        own = {name: value for name, value in headers.items() if name.startswith("x-amz-")}
        sealed = signed(self._at, self._identity, (method, path, query), digest, own)
        for name, value in {**sealed, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(body)

    def _is_wanted(self) -> bool:
        """Whether the server says that it waits for the body; else its answer is there already."""
        begin: bytes = self._connection.sock.recv(len(b"HTTP/1.1 100"), socket.MSG_PEEK)
        return begin.endswith(b" 100")

    def _send(self, pieces: Iterable[Piece]) -> None:
        stream = self._connection.sock
        for piece in pieces:
            try:
                stream.sendall(piece, _MORE)
            except (BrokenPipeError, ConnectionResetError):
                return  # the server has given its answer before the end, or none: reading it tells
        if _MORE:  # is set already; to set it anew sends what was held back (tcp(7))
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _answer(self) -> Answer:
        response = self._connection.getresponse()
        answer = Answer(response.status, response.read(), (response.getheader("etag") or "").strip('"'))
        if answer.status >= http.client.BAD_REQUEST:
            self._connection.close()  # it may still wait for the rest of a body
        return answer


def refused(wanted: str, answer: Answer) -> SeedFailed:
    """The error for an answer that is none of the wanted ones."""
    found, message = answer.code, answer.body.partition(b"<Message>")[2].partition(b"</Message>")[0]
    if message:
        found += f" ({message.decode(errors='replace')})"
    stale = "the server has other passwords than this machine knows: run `envctl down`, then `envctl up`"
    advice = stale if answer.status == _FORBIDDEN else _AGAIN
    return SeedFailed(wanted, found, next((own for known, own in _ADVICE.items() if known in found), advice))

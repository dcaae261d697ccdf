"""Streaming requests against servers with prepared answers: what is sent, and what is said when it goes wrong."""

from __future__ import annotations

import http.server
import threading
from base64 import b64decode
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from crc32c import crc32c

from envctl.errors import SeedFailed
from envctl.model import Endpoint, Identity
from envctl.services.minio.seeding import framing
from envctl.services.minio.seeding.client import ASKED_FIRST, Client, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

ADMIN = Identity("admin", "r00tr00t")
LARGE = ASKED_FIRST + 1


@dataclass
class Server:
    """What a server was told, and what it is to answer to the next PUTs."""

    status: int = 200
    body: bytes = b""
    refuses: bool = False
    reads: int = -1
    port: int = 0
    connections: int = 0
    received: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def at(self) -> Endpoint:
        """Where it is."""
        return Endpoint("minio", "127.0.0.1", {"minio": self.port}, ADMIN)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Run it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            server.connections += 1

        def handle_expect_100(self) -> bool:
            if server.refuses:
                self.answer()
                return False
            return super().handle_expect_100()

        def do_PUT(self) -> None:
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            size = int(self.headers["content-length"])
            server.received.append(self.rfile.read(min(size, server.reads) if server.reads >= 0 else size))
            if server.reads >= 0:
                self.close_connection = True
            else:
                self.answer()

        def answer(self) -> None:
            self.send_response(server.status)
            self.send_header("ETag", '"abc"')
            self.send_header("Content-Length", str(len(server.body)))
            self.end_headers()
            self.wfile.write(server.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        server.port = web.server_address[1]
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            web.shutdown()
            thread.join()


def pieces(size: int) -> Iterator[bytes]:
    """A body in pieces of 100 kB."""
    yield from (bytes(min(100_000, size - start)) for start in range(0, size, 100_000))


def content(framed: bytes) -> tuple[bytes, int]:
    """What is in the chunks of a body, and the checksum behind them."""
    found = b""
    while True:
        size, _, framed = framed.partition(b"\r\n")
        if size == b"0":
            name, _, value = framed.partition(b":")
            assert (name, value[-4:]) == (b"x-amz-checksum-crc32c", b"\r\n\r\n")
            return found, int.from_bytes(b64decode(value))
        end = int(size, 16)
        assert framed[end : end + 2] == b"\r\n"
        found, framed = found + framed[:end], framed[end + 2 :]


@pytest.mark.parametrize("size", [0, 5, LARGE])
def test_a_body_arrives_whole_and_its_etag_comes_back_without_quotes(size: int) -> None:
    """Whether the server was asked first or not."""
    with serving(Server()) as server, Client(server.at) as client:
        assert client.put("it", "/lake/a", size, "text/csv", pieces(size)).etag == "abc"
    assert content(server.received[0]) == (bytes(size), crc32c(bytes(size)))
    assert server.headers[0]["content-type"] == "text/csv"
    assert server.headers[0]["x-amz-decoded-content-length"] == str(size)


@pytest.mark.parametrize("size", [framing.CHUNK - 1, framing.CHUNK, 2 * framing.CHUNK + 1])
def test_a_body_is_framed_the_same_however_it_is_cut(size: int) -> None:
    """Pieces go over the bounds of chunks; the length is known before the first of them."""
    raw = bytes(range(251)) * (size // 251 + 1)
    for step in (70_001, framing.CHUNK, size):
        cut = (raw[start : min(start + step, size)] for start in range(0, size, step))
        framed = b"".join(framing.body(size, cut))
        assert content(framed) == (raw[:size], crc32c(raw[:size]))
        assert framing.headers(size)["content-length"] == str(len(framed))


def test_the_body_is_not_hashed_for_the_signature() -> None:
    """The server is told so, and what it must compare itself."""
    with serving(Server()) as server, Client(server.at) as client:
        client.put("it", "/lake/a", 5, "text/csv", pieces(5))
    assert server.headers[0]["x-amz-content-sha256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert server.headers[0]["x-amz-trailer"] == "x-amz-checksum-crc32c"
    for signed in ("x-amz-content-sha256", "x-amz-trailer", "x-amz-decoded-content-length"):
        assert signed in server.headers[0]["authorization"]


def test_many_objects_take_one_connection() -> None:
    """A handshake each would be a third of a small object's time."""
    with serving(Server()) as server, Client(server.at) as client:
        for _ in range(20):
            client.put("it", "/lake/a", 5, "text/csv", pieces(5))
    assert server.connections == 1


def test_of_a_large_body_that_is_refused_nothing_is_sent() -> None:
    """The answer is read, and the next request has a connection again."""
    taken: list[bytes] = []

    def counted() -> Iterator[bytes]:
        for piece in pieces(LARGE):
            taken.append(piece)
            yield piece

    with serving(Server(403, b"<Code>AccessDenied</Code>", refuses=True)) as server, Client(server.at) as client:
        answer = client.put("it", "/lake/a", LARGE, "text/csv", counted())
        assert (answer.status, answer.code, taken) == (403, "AccessDenied", [])
        server.refuses, server.status, server.body = False, 200, b""
        assert client.put("it", "/lake/a", LARGE, "text/csv", pieces(LARGE)).status == 200


def test_a_server_that_closes_in_the_middle_is_an_error_that_says_what_to_do() -> None:
    """Not one of a socket."""
    with (
        serving(Server(reads=10)) as server,
        Client(server.at) as client,
        pytest.raises(SeedFailed, match="the connection was closed without an answer") as raised,
    ):
        client.put("object lake/a stored", "/lake/a", 50_000_000, "text/csv", pieces(50_000_000))
    assert raised.value.wanted == "object lake/a stored"
    assert "run `envctl seed` again: it goes on" in raised.value.advice


def test_no_server_is_an_error_that_says_what_to_do() -> None:
    """As above."""
    with serving(Server()) as server:
        at = server.at
    with Client(at) as client, pytest.raises(SeedFailed, match="connection refused"):
        client.request("it", ("GET", "/"))


def test_an_error_of_the_pieces_ends_the_connection_and_passes_through() -> None:
    """So that the server never has the number of bytes that it was promised."""

    def failing() -> Iterator[bytes]:
        yield b"12345"
        raise ValueError("mine")

    with serving(Server()) as server, Client(server.at) as client:
        with pytest.raises(ValueError, match="mine"):
            client.put("it", "/lake/a", 10, "text/csv", failing())
        assert client.put("it", "/lake/b", 5, "text/csv", pieces(5)).status == 200
    assert server.connections == 2


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (403, "RequestTimeTooSkewed", "set the clocks"),
        (403, "SignatureDoesNotMatch", "envctl down"),
        (507, "XMinioStorageFull", "make room"),
        (503, "SlowDown", "envctl seed"),
    ],
)
def test_a_refusal_is_told_with_its_code_its_words_and_what_to_do(status: int, code: str, advice: str) -> None:
    """Those that a person can mend have advice of their own."""
    body = f"<Error><Code>{code}</Code><Message>In its own words.</Message><Key>a</Key></Error>".encode()
    with serving(Server(status, body)) as server, Client(server.at) as client:
        error = refused("it", client.put("it", "/lake/a", 5, "text/csv", pieces(5)))
    assert error.found == f"{code} (In its own words.)"
    assert advice in error.advice


def test_no_password_is_in_any_error() -> None:
    """Nor in what caused it."""
    with serving(Server(reads=0)) as server, Client(server.at) as client, pytest.raises(SeedFailed) as raised:
        client.put("it", "/lake/a", 5, "text/csv", pieces(5))
    assert ADMIN.password not in f"{raised.value}{raised.value.__cause__!r}"

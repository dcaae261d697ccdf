"""The gate that fails requests of S3, before a server of HTTP in this process: what passes is not changed by a byte."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from envctl.engine.gates import http_messages as http1
from envctl.engine.gates import s3_conversations
from envctl.engine.gates.s3_faults import Gate
from envctl.engine.gates.s3_requests import Choice, Request, without_newest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AIM: dict[str, Any] = {
    "how": "slow-down",
    "every": 1,
    "method": [],
    "bucket": "",
    "key": "",
    "after": None,
    "rate": 65536,
    "delay": 0.0,
    "domains": [],
    "exempt": ["admin"],
    "since": "2026-01-01T00:00:00.000Z",
}
LISTING = """<ListBucketResult><KeyCount>2</KeyCount><EncodingType>url</EncodingType>\
<Contents><Key>a%2Fold</Key><LastModified>2025-12-31T23:59:59.999Z</LastModified></Contents>\
<Contents><Key>a%2Fnew</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"""
PATIENCE = 30.0
BIG = 20_000_000


class Upstream(BaseHTTPRequestHandler):
    """Gives `x` as often as the path's last number says; tells the digest of what it gets."""

    protocol_version = "HTTP/1.1"

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return whole

    def _answer(self, body: bytes, **fields: str) -> None:
        self.send_response(200)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        """Objects and listings."""
        if self.path.startswith("/bucket?prefix=packed"):
            self._answer(gzip.compress(LISTING.encode()), Content_Encoding="gzip")
        elif self.path.startswith("/bucket?"):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            half = len(LISTING) // 2
            for piece in (LISTING[:half], LISTING[half:], ""):
                self.wfile.write(f"{len(piece):x}\r\n{piece}\r\n".encode())
        else:
            self._answer(b"x" * int(self.path.rpartition("/")[2]))

    do_HEAD = do_GET  # noqa: N815 - their names

    def do_PUT(self) -> None:
        """Uploads."""
        self._answer(hashlib.sha256(self._body()).hexdigest().encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    """Says nothing of clients that break off, as many do here."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[int]:
    """A server's port."""
    server = Server(("127.0.0.1", 0), Upstream)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def standing(port: int, **aim: Any) -> Iterator[Gate]:  # noqa: ANN401 - as AIM
    """A gate before that port."""
    gate, over = Gate("envctl_test", port, {**AIM, **aim}), threading.Event()

    def serve() -> None:
        while not over.is_set():
            gate.turn(0.05)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield gate
    finally:
        over.set()
        thread.join(PATIENCE)
        gate.close()


def connected(gate: Gate) -> socket.socket:
    """A raw client of it."""
    return socket.create_connection(("127.0.0.1", gate.listener.getsockname()[1]), PATIENCE)


def client(gate: Gate) -> closing[http.client.HTTPConnection]:
    """A client of it, on one connection."""
    return closing(http.client.HTTPConnection("127.0.0.1", gate.listener.getsockname()[1], timeout=PATIENCE))


def asked(one: http.client.HTTPConnection, method: str, path: str, *more: Any) -> tuple[int, bytes]:  # noqa: ANN401
    """Status and body."""
    one.request(method, path, *more)
    answer = one.getresponse()
    return answer.status, answer.read()


def everything(one: socket.socket) -> bytes:
    """What comes until the connection ends."""
    read = b""
    while more := one.recv(65536):
        read += more
    return read


@pytest.mark.parametrize("pace", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("make", "body"),
    [
        (lambda: http1.Length(5), b"12345"),
        (http1.Chunks, b"5\r\n12345\r\n0\r\n\r\n"),
        (http1.Chunks, b'A;x="y"\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n0000\r\nDigest: x\r\nOther: y\r\n\r\n'),
    ],
)
def test_the_end_of_a_body_is_found_wherever_its_bytes_are_divided(
    make: Callable[[], http1.Body], body: bytes, pace: int
) -> None:
    """And the next message stays where it is."""
    one, stream, taken = make(), body + b"HTTP/1.1 200 OK", 0
    while not one.over:
        taken += one.take(stream[taken : taken + pace])
    assert taken == len(body)
    assert one.take(b"more") == 0


def test_an_answer_has_a_body_or_none_by_its_status_and_the_method() -> None:
    """A HEAD's length is what a GET would have."""
    head = http1.Head(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
    assert head.answer_body("HEAD").over
    assert head.answer_body("GET").size == 7
    assert http1.Head(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n").answer_body("GET").over
    assert not http1.Head(b"HTTP/1.1 200 OK\r\n\r\n").answer_body("GET").over


@pytest.mark.parametrize(
    ("line", "host", "bucket", "key", "words"),
    [
        ("GET /b/a/c%20d HTTP/1.1", "h:9000", "b", "a/c d", {"GET", "read"}),
        ("GET /a/c HTTP/1.1", "b.minio.local:9000", "b", "a/c", {"GET", "read"}),
        ("GET /b?list-type=2&prefix=x HTTP/1.1", "h", "b", "", {"GET", "list"}),
        ("GET /b/?X-Amz-Signature=1&versions HTTP/1.1", "h", "b", "", {"GET", "list"}),
        ("GET /?list-type=2 HTTP/1.1", "b.minio.local", "b", "", {"GET", "list"}),
        ("GET /b?policy HTTP/1.1", "h", "b", "", {"GET"}),
        ("POST /b?delete HTTP/1.1", "h", "b", "", {"POST", "write"}),
        ("PUT /b/k?partNumber=1&uploadId=U HTTP/1.1", "h", "b", "k", {"PUT", "write", "multipart"}),
        ("POST /b/k?uploads HTTP/1.1", "h", "b", "k", {"POST", "write", "multipart"}),
        ("HEAD /b HTTP/1.1", "h", "b", "", {"HEAD"}),
    ],
)
def test_a_request_is_known_by_its_line_and_host(line: str, host: str, bucket: str, key: str, words: set[str]) -> None:
    """Path style, and virtual hosts where the server has a domain."""
    one = Request(http1.Head(f"{line}\r\nHost: {host}\r\n\r\n".encode()), ["minio.local"])
    assert (one.bucket, one.key) == (bucket, key)
    assert one.words == words


def test_each_nth_that_fits_fails_and_the_others_are_counted_only() -> None:
    """Not the server's own paths, not the admin's requests, not what names no bucket."""
    choice = Choice({**AIM, "every": 2, "bucket": "b*", "key": "*.csv", "method": ["read", "PUT"]})
    lines = ["GET /b1/x.csv", "PUT /b2/y.csv", "GET /b1/x.txt", "GET /other/x.csv", "DELETE /b1/x.csv", "GET /"]
    lines += ["HEAD /b1/z/x.csv", "GET /minio/health/live", "PUT /b/x.csv"]
    heads = [http1.Head(f"{line} HTTP/1.1\r\nHost: h\r\n\r\n".encode()) for line in lines]
    signed = b"GET /b1/x.csv HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 Credential=admin/2026/s3, Signed=\r\n\r\n"
    assert [choice.fails(Request(head, [])) for head in [*heads, http1.Head(signed)]] == [
        *[False, True, False, False, False, False, False, False, True],
        False,
    ]
    assert choice.counts() == {"seen": 10, "fitting": 4, "failed": 2}


def test_a_listing_lacks_what_is_new_and_says_so_in_its_count() -> None:
    """Only keys that fit, in their own name, which a listing writes in several ways."""
    since = str(AIM["since"])
    assert "a%2Fold" in (listing := without_newest(LISTING, since, "a/*"))
    assert ("a%2Fnew" in listing, "<KeyCount>1<" in listing) == (False, True)
    assert without_newest(LISTING, since, "b/*") == LISTING
    entry = "<Version><Key>a&amp;b</Key><LastModified>2027-01-01T00:00:00.000Z</LastModified></Version>"
    assert without_newest(entry, since, "a&b") == ""


def test_requests_sent_all_at_once_are_answered_in_their_order(upstream: int) -> None:
    """The second fails, and the third is the server's again."""
    with standing(upstream, every=2) as gate, connected(gate) as one:
        one.sendall(b"".join(b"GET /b/%d HTTP/1.1\r\nHost: h\r\n\r\n" % size for size in (10, 20)))
        one.sendall(b"GET /b/30 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        first, second, third = everything(one).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in (first, second, third)] == [b"200", b"503", b"200"]
    assert b"Retry-After: 1\r\n" in second
    assert first.endswith(b"\r\n\r\n" + b"x" * 10)
    assert third.endswith(b"\r\n\r\n" + b"x" * 30)


def test_what_passes_is_not_changed_by_a_byte_and_not_kept(upstream: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large ones in both directions, with a length and in chunks; then the same connection is used again."""
    most = 0
    room, written = s3_conversations._ROOM, s3_conversations.Conversation._write

    def write(self: s3_conversations.Conversation, one: socket.socket, data: bytearray) -> None:
        nonlocal most
        most = max(most, *(len(stream) for stream in vars(self.streams).values()))
        written(self, one, data)

    monkeypatch.setattr(s3_conversations.Conversation, "_write", write)
    data = bytes(range(256)) * (BIG // 256)
    with standing(upstream, key="none") as gate, client(gate) as one:
        assert asked(one, "GET", f"/b/{BIG}") == (200, b"x" * BIG)
        digest = hashlib.sha256(data).hexdigest().encode()
        assert asked(one, "PUT", "/b/k", data) == (200, digest)
        pieces = (data[at : at + 70_000] for at in range(0, len(data), 70_000))
        assert asked(one, "PUT", "/b/k", pieces) == (200, digest)
        assert gate.choice.counts() == {"seen": 3, "fitting": 0, "failed": 0}
    assert most <= 3 * room


def test_an_answer_to_head_has_no_body_and_the_connection_lives_on(upstream: int) -> None:
    """With the code in its fields."""
    with standing(upstream, how="forbidden", every=2) as gate, client(gate) as one:
        assert asked(one, "HEAD", "/b/10") == (200, b"")
        one.request("HEAD", "/b/10")
        answer = one.getresponse()
        assert (answer.status, answer.read(), answer.headers["x-minio-error-code"]) == (403, b"", "AccessDenied")
        assert asked(one, "GET", "/b/10") == (200, b"x" * 10)


def test_who_waits_to_be_told_to_send_a_body_is_told(upstream: int) -> None:
    """To go on, by the server; not to, by the gate; and by an internal error to send it, since that comes within it."""
    head = b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"
    with standing(upstream, key="none") as gate, connected(gate) as one:
        one.sendall(head)
        assert one.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        one.sendall(b"0123456789")
        one.shutdown(socket.SHUT_WR)
        assert everything(one).endswith(hashlib.sha256(b"0123456789").hexdigest().encode())
    with standing(upstream) as gate, connected(gate) as one:
        one.sendall(head)
        assert everything(one).startswith(b"HTTP/1.1 503 ")
    with standing(upstream, how="internal-error") as gate, connected(gate) as one:
        one.sendall(head)
        assert one.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        one.sendall(b"01234")
        assert one.recv(4096).startswith(b"HTTP/1.1 500 ")
        one.sendall(b"56789" + head)
        assert one.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(("after", "wanted"), [(None, 500), (0, 0), (7, 7), (5000, 999)])
def test_an_answer_is_cut_after_so_much_of_its_body_and_never_after_all(
    upstream: int, after: int | None, wanted: int
) -> None:
    """What came before is whole."""
    with standing(upstream, how="cut-body", after=after) as gate, client(gate) as one:
        one.request("GET", "/b/1000")
        with pytest.raises(http.client.IncompleteRead) as cut:
            one.getresponse().read()
    assert len(cut.value.partial) == wanted


def test_a_body_in_chunks_lacks_its_end_at_least(upstream: int) -> None:
    """Nobody can say how long it would have been."""
    with standing(upstream, how="cut-body") as gate, client(gate) as one:
        one.request("GET", "/bucket?list-type=2")
        with pytest.raises(http.client.IncompleteRead):
            one.getresponse().read()


def test_an_answer_without_a_body_is_cut_before_it(upstream: int) -> None:
    """An empty object's."""
    with standing(upstream, how="cut-body") as gate, client(gate) as one, pytest.raises(http.client.RemoteDisconnected):
        asked(one, "GET", "/b/0")


def test_an_upload_is_cut_by_a_reset(upstream: int) -> None:
    """Whether its client is still sending or waits for the answer."""
    with standing(upstream, how="cut-body") as gate, client(gate) as one, pytest.raises(ConnectionError):
        asked(one, "PUT", "/b/k", b"x" * 1000)


def test_a_slow_body_comes_at_its_rate_and_others_do_not_wait_for_it(upstream: int) -> None:
    """A second connection meanwhile is as fast as ever."""
    with standing(upstream, how="slow-body", rate=200_000, key="5*") as gate, client(gate) as slow, client(gate) as one:
        start = time.monotonic()
        slow.request("GET", "/b/500000")
        assert asked(one, "GET", "/b/1000") == (200, b"x" * 1000)
        before = time.monotonic() - start
        assert slow.getresponse().read() == b"x" * 500_000
        assert before < 2.5 <= time.monotonic() - start
        start = time.monotonic()
        assert asked(slow, "PUT", "/b/5", b"x" * 50_000)[0] == 200
        assert time.monotonic() - start >= 0.25


@pytest.mark.parametrize("query", ["list-type=2", "prefix=packed"])
def test_a_listing_may_come_in_chunks_or_packed(upstream: int, query: str) -> None:
    """It comes in one piece, without what is new."""
    with standing(upstream, how="stale-listing") as gate, client(gate) as one:
        status, listing = asked(one, "GET", f"/bucket?{query}")
    assert (status, listing.decode()) == (200, without_newest(LISTING, str(AIM["since"]), ""))


def test_what_is_no_http_passes_in_both_directions() -> None:
    """TLS, say: the server says what it thinks of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        with standing(server.getsockname()[1]) as gate, connected(gate) as one:
            one.sendall(b"\x16\x03\x01 hello")
            there, _ = server.accept()
            with there:
                assert there.recv(100) == b"\x16\x03\x01 hello"
                there.sendall(b"\x15alert")
            assert everything(one) == b"\x15alert"


def test_what_a_server_says_before_it_takes_the_whole_body_arrives() -> None:
    """It closes in the middle of an upload, and its client hears why."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        with standing(server.getsockname()[1], key="none") as gate, connected(gate) as one:
            one.sendall(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
            there, _ = server.accept()
            with there:
                there.recv(4096)
                there.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            assert everything(one).startswith(b"HTTP/1.1 400 ")


def test_a_server_that_is_not_there_is_a_connection_that_ends() -> None:
    """As its port's would."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with standing(port, key="none") as gate, client(gate) as one, pytest.raises(ConnectionError):
        asked(one, "GET", "/b/1")


def test_a_gate_that_goes_lets_what_is_under_way_come_to_its_end(upstream: int) -> None:
    """A body that was slow comes at once, and who waits in vain is let go."""
    with ExitStack() as clients:
        with standing(upstream, how="slow-body", rate=1000) as gate:
            slow, idle = clients.enter_context(client(gate)), clients.enter_context(connected(gate))
            slow.request("GET", "/b/300000")
            answer = slow.getresponse()
            assert answer.read(1) == b"x"
        assert len(answer.read()) == 299_999
        assert everything(idle) == b""

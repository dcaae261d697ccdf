"""The programs that stand in a service's network, outside of one: what they understand, and what they say."""

from __future__ import annotations

import ast
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from envctl.engine import gates
from envctl.engine.gates.grpc_refusal import Gate
from envctl.engine.gates.s3_hold import request_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = sorted(path.stem for path in Path(gates.__file__).parent.glob("*.py") if path.stem != "__init__")
SMALLEST = {"__future__", "contextlib", "json", "os", "re", "select", "signal", "socket", "struct", "subprocess"}
SMALLEST |= {"sys", "threading", "time", "typing", "urllib", "fnmatch", "zlib", "collections", "heapq", "random"}


@pytest.fixture
def refusing() -> Iterator[grpc.Channel]:
    """A client of a gate that refuses with status 16."""
    gate, over = Gate(16, "né: 100 %"), threading.Event()

    def serve() -> None:
        while not over.is_set():
            gate.serve(0.05)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with grpc.insecure_channel(f"127.0.0.1:{gate.port}") as channel:
        yield channel
    over.set()
    thread.join(30)
    gate.close()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_gate_imports_nothing_but_the_smallest_library_and_its_like(name: str) -> None:
    """The image that it runs in has no more."""
    tree = ast.parse((Path(gates.__file__).parent / f"{name}.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {one for one in imported if one.startswith("envctl.engine.gates")}
    assert {one.partition(".")[0] for one in imported - ours} <= SMALLEST


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_gates_text_is_a_whole_program(name: str) -> None:
    """It compiles, and is short enough for one argument (128 KiB on Linux)."""
    text = gates.program(name)
    compile(text, name, "exec")
    assert len(text.encode()) < 1 << 17


@pytest.mark.parametrize("size", [0, 10, 1_000_000])
def test_every_call_is_refused_whatever_its_size_with_words_that_arrive_whole(
    refusing: grpc.Channel, size: int
) -> None:
    """One after the other on one connection: nothing that is not read stops the next."""
    call = refusing.unary_unary("/any.Service/Method")
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as refused:
            call(bytes(size), timeout=30)
        assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.UNAUTHENTICATED, "né: 100 %")


def test_streams_are_refused_too(refusing: grpc.Channel) -> None:
    """Of answers, and of requests."""
    with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
        next(refusing.unary_stream("/any.Service/Method")(b"x", timeout=30))
    with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
        refusing.stream_unary("/any.Service/Method")(iter([b"x"] * 10), timeout=30)


@pytest.mark.parametrize(
    ("line", "kind", "key", "number"),
    [
        ("PUT /app/a/b%20c.bin?partNumber=7&uploadId=U HTTP/1.1", "part", "a/b c.bin", 7),
        ("PUT /app/a?uploadId=U&partNumber=1 HTTP/1.1", "part", "a", 1),
        ("POST /app/a?uploadId=U HTTP/1.1", "complete", "a", 0),
        ("POST /app/a?uploads= HTTP/1.1", "", "a", 0),
        ("PUT /app/a HTTP/1.1", "", "a", 0),
        ("POST /app?delete HTTP/1.1", "", "", 0),
        ("PUT /app/a?partNumber=x&uploadId=U HTTP/1.1", "", "a", 0),
    ],
)
def test_requests_are_known_by_their_first_line(line: str, kind: str, key: str, number: int) -> None:
    """What is no part and no Complete is none of the gate's business."""
    request = request_of(f"{line}\r\nHost: h\r\n\r\n")
    assert (request["kind"], request["bucket"], request["key"], request["number"]) == (kind, "app", key, number)


@pytest.mark.parametrize(
    "text",
    [
        "PUT /b/k?partNumber=1&uploadId=U HTTP/1.1\r\nUser-Agent: job 1\r\nAuthorization: X Credential=app/2026/s3\r\n",
        "PUT /b/k?partNumber=1&uploadId=U&X-Amz-Credential=app%2F2026%2Fs3 HTTP/1.1\r\nuser-agent: job 1\r\n",
    ],
)
def test_the_initiator_and_the_application_are_read_from_headers_and_from_presigned_urls(text: str) -> None:
    """Both are what the client says of itself."""
    assert (request_of(text)["initiator"], request_of(text)["agent"]) == ("app", "job 1")


def test_a_segment_that_is_cut_short_is_no_request() -> None:
    """The queue copies 2 KiB of a packet, and anything may come by."""
    for text in ("", "POST", "PUT /", "POST \r\n\r\n", "PUT /app/a?uploadId HTTP/1.1"):
        assert request_of(text)["kind"] == ""

"""What the gate of Kafka's transactions reads off a packet."""

from __future__ import annotations

import struct

import pytest

from envctl.engine.gates.kafka_hold import request_of

PRODUCE, END = 0, 26


def text(word: str) -> bytes:
    """A string of the old form."""
    return struct.pack(">h", len(word)) + word.encode()


def compact(word: str) -> bytes:
    """A string of the compact form."""
    return bytes([len(word) + 1]) + word.encode()


def request(kind: int, version: int, body: bytes, client: bytes = text("shop")) -> bytes:
    """A request with its length in front."""
    content = struct.pack(">hhi", kind, version, 7) + client + body
    return struct.pack(">i", len(content)) + content


def end(*, commits: bool) -> bytes:
    """What follows the transactional id in EndTxn: producer, epoch, result."""
    return struct.pack(">qh?", 4711, 3, commits)


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize(("version", "name"), [(1, text("tx")), (3, b"\0" + compact("tx")), (5, b"\0" + compact("tx"))])
def test_the_end_of_a_transaction_is_told_from_its_abort(version: int, name: bytes, commits: bool) -> None:
    """In the old form and in the compact one."""
    found = request_of(request(END, version, name + end(commits=commits)))
    assert found == {"kind": END, "client": "shop", "transaction": "tx", "commits": commits}


@pytest.mark.parametrize(("version", "name"), [(7, text("tx")), (11, b"\0" + compact("tx"))])
def test_of_a_write_its_first_segment_is_enough(version: int, name: bytes) -> None:
    """The rest of its bytes comes in other packets."""
    whole = request(PRODUCE, version, name + bytes(100_000))
    assert request_of(whole[:1400]) == {"kind": PRODUCE, "client": "shop", "transaction": "tx", "commits": False}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request(PRODUCE, 7, struct.pack(">h", -1) + bytes(100)),
        request(PRODUCE, 11, b"\0\0" + bytes(100)),
        request(END, 3, b"\0" + compact("a name that is cut off"))[:30],
        request(END, 1, text("tx")),
        request(18, 3, b"\0" + compact("tx") + end(commits=True)),
        b"\xff" * 64,
        struct.pack(">ihhih", 8, END, 1, 7, 32000) + bytes(20),
    ],
    ids=["nothing", "no transaction", "none, compact", "cut", "no result", "another request", "no Kafka", "lengths"],
)
def test_anything_else_is_no_request_of_a_transaction(data: bytes) -> None:
    """It passes."""
    assert request_of(data) is None


def test_a_client_without_a_name_has_none() -> None:
    """Null is empty."""
    found = request_of(request(END, 1, text("tx") + end(commits=True), client=struct.pack(">h", -1)))
    assert found == {"kind": END, "client": "", "transaction": "tx", "commits": True}

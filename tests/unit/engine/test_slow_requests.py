"""What a gate reads of the bytes of a connection, and what it keeps; no engine is needed."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from envctl.engine.gates.requests import Postgres, Redis
from envctl.engine.gates.slow_requests import Choice, Delay


def message(kind: bytes, body: bytes) -> bytes:
    """One of protocol 3."""
    return kind + struct.pack(">I", len(body) + 4) + body


def begin(user: bytes) -> bytes:
    """What begins a connection."""
    body = struct.pack(">I", 3 << 16) + b"user\0" + user + b"\0database\0app\0\0"
    return struct.pack(">I", len(body) + 4) + body


QUERY = message(b"Q", b"select 1\0")
PREPARED = (
    message(b"P", b"one\0insert into x\0\0\0") + message(b"B", b"\0one\0\0\0\0\0\0\0") + message(b"E", b"\0\0\0\0\0")
)
AGAIN = message(b"B", b"\0one\0\0\0\0\0\0\0") + message(b"E", b"\0\0\0\0\0") + message(b"S", b"")


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_statements_are_read_however_they_are_cut(step: int) -> None:
    """A statement counts when its last byte is there, and a prepared one each time that it is executed."""
    parser, data = Postgres("envctl"), begin(b"app") + message(b"p", b"secret\0") + QUERY + PREPARED + AGAIN
    found = [text for at in range(0, len(data), step) for text in parser.requests(data[at : at + step])]
    assert found == ["select 1", "insert into x", "insert into x"]


def test_the_exempt_are_left_alone() -> None:
    """Whoever logs in as that."""
    parser = Postgres("envctl")
    assert [*parser.requests(begin(b"envctl")), *parser.requests(QUERY)] == []


def test_a_connection_that_is_under_way_is_taken_up_at_the_next_message() -> None:
    """What is in the midst of something looks like nothing, and is passed over."""
    parser = Postgres("envctl")
    assert parser.requests(b"\xff\xfe of a copy") == []
    assert parser.requests(QUERY) == ["select 1"]
    assert parser.requests(AGAIN) == [""], "prepared before: unknown"
    assert parser.requests(message(b"d", bytes(100))[:50]) == []
    parser.lost()
    assert parser.requests(QUERY) == ["select 1"]


def command(*words: bytes) -> bytes:
    """One of Redis."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


@pytest.mark.parametrize("step", [1, 2, 7, 100_000])
def test_commands_of_redis_are_read_however_they_are_cut(step: int) -> None:
    """Of long words the beginning; what lies in a value is no command."""
    data = (
        command(b"AUTH", b"app", b"secret")
        + command(b"SET", b"k", b"*1\r\n$4\r\nPING\r\n" * 1000)
        + command(b"GET", b"")
    )
    parser = Redis("envctl")
    found = [text for at in range(0, len(data), step) for text in parser.requests(data[at : at + step])]
    assert [text.split(" ")[0] for text in found] == ["AUTH", "SET", "GET"]
    assert len(found[1]) < 5000
    assert parser.requests(b"in the midst of\r\nsomething\r\n") == []
    assert parser.requests(command(b"PING")) == ["PING"]


@pytest.mark.parametrize(
    "login", [command(b"auth", b"envctl", b"x"), command(b"HELLO", b"3", b"AUTH", b"envctl", b"x")]
)
def test_the_exempt_of_redis_are_left_alone(login: bytes) -> None:
    """However they log in."""
    parser = Redis("envctl")
    assert [*parser.requests(login), *parser.requests(command(b"GET", b"a"))] == []


def packet(sequence: int, data: bytes, port: int = 1000, flags: int = 0x18) -> bytes:
    """An IPv4 packet with a TCP segment."""
    ip = bytes([0x45]) + bytes(11) + bytes([10, 0, 0, 1]) + bytes([10, 0, 0, 2])
    return ip + struct.pack(">HHIIBBHHH", port, 5432, sequence % (1 << 32), 0, 5 << 4, flags, 0, 0, 0) + data


class Kernel:
    """What was let go."""

    def __init__(self) -> None:
        self.gone: list[int] = []

    def accept(self, identity: int) -> None:
        """Note it."""
        self.gone.append(identity)


def delay(matching: str = "", every: int = 1) -> tuple[Any, Delay, Choice]:
    """A gate of 5 s, without a kernel."""
    kernel, choice = Kernel(), Choice(matching, every)
    return kernel, Delay(kernel, "postgres", "envctl", choice, 5.0), choice


def test_what_follows_waits_behind_it_and_others_do_not() -> None:
    """In their order; a bare acknowledgement is nobody's request."""
    kernel, gate, _ = delay("select")
    gate.packet(1, packet(0, QUERY))
    gate.packet(2, packet(len(QUERY), message(b"X", b"")))
    gate.packet(3, packet(len(QUERY), b""))
    gate.packet(4, packet(0, message(b"Q", b"insert\0"), port=1001))
    assert kernel.gone == [3, 4]
    gate.let_go(float("inf"))
    assert kernel.gone == [3, 4, 1, 2]


@pytest.mark.parametrize("start", [0, (1 << 32) - 5])
def test_what_is_sent_again_is_not_counted_again(start: int) -> None:
    """Whole, and with new bytes behind it; also where the numbers begin anew."""
    _, gate, choice = delay()
    gate.packet(1, packet(start, QUERY))
    gate.packet(2, packet(start, QUERY))
    assert (choice.seen, choice.held) == (1, 1)
    gate.packet(3, packet(start, QUERY + QUERY))
    assert choice.seen == 2


def test_only_every_so_many_th_is_held_and_letters_have_no_case() -> None:
    """Over all connections."""
    kernel, gate, choice = delay("SELECT", 2)
    for number in range(4):
        gate.packet(number, packet(0, QUERY, port=1000 + number))
    assert kernel.gone == [0, 2]
    assert (choice.seen, choice.held) == (4, 2)

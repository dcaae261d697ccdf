"""Which command of a transaction was refused."""

from __future__ import annotations

import pytest

from envctl.services.redis.seeding.mark import Position, _first_refused

QUEUED = b"+QUEUED\r\n"


@pytest.mark.parametrize(
    ("replies", "number", "reason"),
    [
        (b"+OK\r\n" + QUEUED + b"-ERR unknown command\r\n" + QUEUED + b"-EXECABORT no\r\n", 0, "ERR unknown command"),
        (b"+OK\r\n" + 4 * QUEUED + b"*4\r\n:1\r\n+OK\r\n-WRONGTYPE it is\r\n:0\r\n", 1, "WRONGTYPE it is"),
        (b"+OK\r\n" + 4 * QUEUED + b"*4\r\n:1\r\n$3\r\n-1-\r\n-ERR too small\r\n:0\r\n", 1, "ERR too small"),
    ],
)
def test_the_first_refused_command_is_found(replies: bytes, number: int, reason: str) -> None:
    """Whether it was refused before EXEC or by it."""
    found = _first_refused(replies)
    assert (found.number, found.reason) == (number, reason)


def test_a_position_is_read_as_it_is_written() -> None:
    """By way of a text in Redis."""
    assert Position(*map(int, str(Position(3, 7, 11)).split(":"))) == Position(3, 7, 11)

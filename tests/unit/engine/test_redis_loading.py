"""The gate that says a Redis is loading: what it passes on, and what it tells in the server's place."""

from __future__ import annotations

import pytest

from envctl.engine.gates.redis_loading import Answers, Requests


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_commands_and_answers_are_read_however_they_are_cut(size: int) -> None:
    """Refused ones become one that no server knows; inline ones, too; what is no command is passed on."""
    said = b"*2\r\n$3\r\nGET\r\n$4\r\n\r\n\r\n\r\n*3\r\n$6\r\nconfig\r\n$3\r\nSET\r\n$1\r\na\r\n"
    said += b"*2\r\n$4\r\nECHO\r\n$1\r\na\r\nget a\r\n"
    requests = Requests(frozenset({"get", "config|set"}), b"gate")
    unknown = b"*1\r\n$4\r\ngate\r\n"
    passed = b"".join(requests.receive(said[at : at + size]) for at in range(0, len(said), size))
    assert passed == unknown * 2 + b"*2\r\n$4\r\nECHO\r\n$1\r\na\r\n" + unknown
    answers = Answers(b"gate")
    told = b"-ERR unknown command 'gate', with args beginning with: \r\n"
    told += b"# Persistence\r\nloading:0\r\n$9\r\nloading:0\r\n"
    heard = b"".join(answers.receive(told[at : at + size]) for at in range(0, len(told), size))
    refusal = b"-LOADING Redis is loading the dataset in memory\r\n"
    assert heard == refusal + b"# Persistence\r\nloading:1\r\n$9\r\nloading:0\r\n"

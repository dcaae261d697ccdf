"""The one TCP conversation of envctl's own: what is sent in pieces, and what comes in pieces."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

from envctl.services.wire import Wire

PATIENCE = 60.0
"""Seconds for what comes at once; machines that run tests are busy."""


def test_pieces_arrive_in_their_order_whole_however_many_and_large_they_are() -> None:
    """More pieces than one call of the system takes, more bytes than the socket holds, and some that are empty."""
    pieces: list[bytes | memoryview] = [
        b"",
        *(str(n).encode() * (n % 7) for n in range(3000)),
        memoryview(bytes(range(256)) * 40_000),
        b"end",
    ]
    whole = b"".join(pieces)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        arrived = pool.submit(_read, server)
        with Wire("127.0.0.1", server.getsockname()[1], PATIENCE) as wire:
            wire.send(*pieces)
        assert arrived.result(PATIENCE) == whole


def test_what_comes_is_taken_apart_as_it_is_asked_for() -> None:
    """Bytes by their number, a line, and the rest, of an answer that comes as one."""
    with socket.create_server(("127.0.0.1", 0)) as server, Wire("127.0.0.1", server.getsockname()[1], PATIENCE) as wire:
        with server.accept()[0] as there:
            there.sendall(b"12345a line\r\nand\r\nmore")
        assert [wire.exactly(2), wire.exactly(3), wire.line(), wire.rest(), wire.rest()] == [
            b"12",
            b"345",
            b"a line",
            b"and\r\nmore",
            b"",
        ]


def _read(server: socket.socket) -> bytes:
    with server.accept()[0] as there:
        there.settimeout(PATIENCE)
        return b"".join(iter(lambda: there.recv(1 << 16), b""))

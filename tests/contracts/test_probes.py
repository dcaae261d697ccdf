"""Every service says "not yet" of whatever is not it: soon, in words, and without a secret."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from envctl.protocols import HasIdentities, NotReady, Service

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from envctl.model import Endpoint

    Behaviour = Callable[[socket.socket], object]

PATIENCE = 0.2
"""Seconds for one attempt."""

LONG, LONGER = 10.0, 30.0
"""Seconds within which an attempt has ended, also on a busy machine; and for which a server would keep it."""

GARBAGE = {
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "text": b"220 mail.example ESMTP\r\n" * 50,
    "http": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>hi</html>",
    "http error": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "redis": b"+OK\r\n$-1\r\n*1000000\r\n-ERR the-app-secret the-admin-secret\r\n",
    "postgres": b"R\0\0\0\x08\0\0\0\0" + b"Z\0\0\0\x05I" + b"E\0\0\0\x0bMrefus\0",
    "postgres odd": b"R\0\0\0\x05\0" + b"D\0\0\0\x06\0\x09",
    "length that lies": b"\0\0\0\x08\0\0\0\x01" * 100,
    "huge length": b"\x7f\xff\xff\xff" * 100,
    "one byte": b"\0",
    "unicode": "çŧ←¶\r\n".encode() * 100,
}


NOTHING_TO_PROVISION = {"spark-connect"}
"""Services that start with all that they need: there provisioning asks nothing."""


def questions(service: Service) -> list[Callable[[Endpoint, float], None]]:
    """What is asked of a service that starts: its ping, and its provisioning where it has identities."""
    if not isinstance(service, HasIdentities) or service.name in NOTHING_TO_PROVISION:
        return [service.ping]
    return [service.ping, service.provision]


def answer(ask: Callable[[Endpoint, float], None], at: Endpoint) -> str:
    """The reason why not, which came in time and holds no secret."""
    started = time.monotonic()
    with pytest.raises(NotReady) as caught:
        ask(at, PATIENCE)
    took, reason = time.monotonic() - started, str(caught.value)

    assert took < LONG
    assert reason.strip()
    assert "the-app-secret" not in reason
    assert "the-admin-secret" not in reason
    assert "\n" not in reason
    return reason


def test_a_port_on_which_nobody_listens(service: Service, at: Callable[[int], Endpoint], closed: int) -> None:
    """Refused, and said so."""
    for ask in questions(service):
        assert "refused" in answer(ask, at(closed))


def test_a_port_that_accepts_and_closes(
    service: Service, at: Callable[[int], Endpoint], server: Callable[[Behaviour], int]
) -> None:
    """As the engine's proxy does for a server that does not listen yet: an accepted connection proves nothing."""
    for ask in questions(service):
        answer(ask, at(server(lambda _: None)))


def test_a_port_that_resets(
    service: Service, at: Callable[[int], Endpoint], server: Callable[[Behaviour], int]
) -> None:
    """A server that is killed in the middle of an answer."""
    import struct
    from socket import SO_LINGER, SOL_SOCKET

    port = server(lambda connection: connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0)))
    for ask in questions(service):
        answer(ask, at(port))


def test_a_port_that_never_answers(
    service: Service, at: Callable[[int], Endpoint], server: Callable[[Behaviour], int]
) -> None:
    """A server that hangs costs one attempt and no more."""
    over = threading.Event()
    port = server(lambda _: over.wait(LONGER))
    try:
        for ask in questions(service):
            answer(ask, at(port))
    finally:
        over.set()


def test_a_port_that_answers_drop_by_drop(
    service: Service, at: Callable[[int], Endpoint], server: Callable[[Behaviour], int]
) -> None:
    """The time counts for the whole attempt, not for each byte."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        for _ in range(int(LONGER / 0.05)):
            connection.sendall(b"\0")
            if over.wait(0.05):
                break

    port = server(drip)
    try:
        for ask in questions(service):
            answer(ask, at(port))
    finally:
        over.set()


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("end", ["closes", "waits"])
def test_a_port_that_answers_garbage(
    service: Service, at: Callable[[int], Endpoint], server: Callable[[Behaviour], int], garbage: bytes, end: str
) -> None:
    """Another program has the port: never taken for the service, never another exception."""
    over = threading.Event()

    def speak(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(garbage)
        if end == "waits":
            over.wait(LONGER)

    port = server(speak)
    try:
        answer(service.ping, at(port))
        for provision in questions(service)[1:]:
            # A web server that answers 200 to everything may be believed here: the ping that follows is not fooled.
            with suppress(NotReady):
                provision(at(port), PATIENCE)
    finally:
        over.set()

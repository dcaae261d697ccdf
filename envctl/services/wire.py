"""One TCP conversation with one time limit, for pings that must cost nothing.

The client libraries take 90-150 ms each to import and know no time limit under a second or two; a ping runs every
20 to 250 ms beside starting servers, and is all that a warm `up` does. So pings speak the few messages they need.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Self

from envctl.errors import EnvctlError
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from envctl.model import Endpoint, Identity

_PIECES = 1000
"""Pieces that go into one call of the system, which takes 1024 at most."""

CLOSED = "the connection was closed without an answer"
"""What the engine's port proxy does while nothing listens in the container; also a server that is going down."""


class Wire:
    """A connection to `host:port`; everything until it is closed takes at most `timeout` seconds.

    Use it as a context manager. Every method raises `NotReady` with the reason when the network does not do its part.
    """

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._timeout = timeout
        self._end = time.monotonic() + timeout
        self._buffer = bytearray()
        try:
            self._socket = socket.create_connection((host, port), timeout)
        except OSError as error:
            raise NotReady(network_reason(error, timeout)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def renew(self) -> None:
        """Start the time limit anew: for conversations of many questions."""
        self._end = time.monotonic() + self._timeout

    def send(self, *pieces: bytes | memoryview) -> None:
        """Send all of the pieces of bytes, one after the other, without a copy of them as a whole."""
        left = list(pieces)
        try:
            while left:
                self._limit()
                sent = self._socket.sendmsg(left[:_PIECES])
                while left and sent >= len(left[0]):
                    sent -= len(left.pop(0))
                if sent:
                    left[0] = memoryview(left[0])[sent:]
        except OSError as error:
            raise NotReady(network_reason(error, self._timeout)) from error

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes."""
        while len(self._buffer) < size:
            self._receive(size - len(self._buffer))
        data = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return data

    def line(self) -> bytes:
        """The next line, without its CR LF."""
        while b"\r\n" not in self._buffer:
            self._receive()
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return bytes(line)

    def rest(self) -> bytes:
        """Everything until the other side closes."""
        while self._received():
            continue
        data, self._buffer = self._buffer, bytearray()
        return bytes(data)

    def _receive(self, wanted: int = 0) -> None:
        if not self._received(wanted):
            raise NotReady(CLOSED)

    def _received(self, wanted: int = 0) -> bool:
        """Whether more came before the connection was closed."""
        try:
            self._limit()
            data = self._socket.recv(max(65536, wanted))
        except OSError as error:
            raise NotReady(network_reason(error, self._timeout)) from error
        self._buffer += data
        return bool(data)

    def _limit(self) -> None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)


def network_reason(error: Exception, timeout: float) -> str:
    """A network failure in a few words, without addresses and errno."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:.3g} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return CLOSED
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def app_of(at: Endpoint) -> Identity:
    """The app identity; raises `EnvctlError` where its password is not known any more."""
    return at.app or _lost(at, "app")


def admin_of(at: Endpoint) -> Identity:
    """The admin identity; raises `EnvctlError` where its password is not known any more."""
    return at.admin or _lost(at, "admin")


def _lost(at: Endpoint, identity: str) -> Identity:
    raise EnvctlError(
        f"the {identity} password of {at.service}",
        "neither the state folder nor the container has it",
        "run `envctl down`, then `envctl up`",
    )

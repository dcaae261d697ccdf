"""Redis' protocol in bulk: a raw socket, whole batches at a time. redis-py loads a tenth as many keys a second."""

from __future__ import annotations

import secrets
import socket
from typing import TYPE_CHECKING, Any, Self

from envctl.errors import SeedFailed, redact
from envctl.services.wire import admin_of, network_reason

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Sequence

    from envctl.model import Endpoint

    Part = bytes | str | int
    Reply = Any  # bytes, int, None, Refusal, or a list of replies: as the command's documentation says

SECONDS = 60.0
"""How long the server may be silent: more than any batch takes, less than a person waits."""

_READ = 1 << 18
_NEW_PASSWORDS = "the server has other passwords than this machine knows: run `envctl down`, then `envctl up`"


class Refusal(Exception):
    """An error reply, in the server's words."""


class Connection:
    """A connection as the admin. Use it as a context manager.

    Raises:
        SeedFailed: from every method, when the server is not there, goes away or is silent for `SECONDS`.

    """

    def __init__(self, at: Endpoint) -> None:
        self._admin = admin_of(at)
        self._sentinel = secrets.token_hex(16).encode()
        try:
            self._socket = socket.create_connection((at.host, at.port), SECONDS)
        except OSError as error:
            raise _gone(error) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file: io.BufferedReader = self._socket.makefile("rb", _READ)  # type: ignore[assignment] # "rb" makes one
        try:
            self.ask("AUTH", self._admin.username, self._admin.password)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def ask(self, *command: Part) -> Reply:
        """One command's reply.

        Raises:
            SeedFailed: also when the server refuses the command.

        """
        (reply,) = self.ask_all([command])
        if isinstance(reply, Refusal):
            advice = (
                _NEW_PASSWORDS if str(reply).startswith("WRONGPASS") else "see `envctl logs redis`, then seed again"
            )
            raise SeedFailed(f"{command[0]!s} answered by redis", str(reply), advice) from reply
        return reply

    def ask_all(self, commands: Iterable[Sequence[Part]]) -> list[Reply]:
        """The replies of some commands, sent at once; a refusal stands in its place. For small things."""
        encoded = [command_bytes(command) for command in commands]
        self._send(b"".join(encoded))
        return [self._reply() for _ in encoded]

    def pour(self, *pieces: bytes | memoryview) -> bytes:
        """Send commands, a megabyte or two of them, and return all their replies as they came.

        Sent first and read afterwards: Redis never waits for a client to read, so neither side can block the other.
        """
        for piece in pieces:
            self._send(piece)
        self._send(command_bytes(["ECHO", self._sentinel]))
        end, found = b"$%d\r\n%b\r\n" % (len(self._sentinel), self._sentinel), bytearray()
        while not found.endswith(end):
            found += self._received()
        return bytes(found[: -len(end)])

    def _send(self, data: bytes | memoryview) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise _gone(error) from error

    def _received(self) -> bytes:
        try:
            data = self._file.read1(_READ)
        except OSError as error:
            raise _gone(error) from error
        if not data:
            raise _gone(ConnectionResetError())
        return data

    def _reply(self) -> Reply:
        line = self._line()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return Refusal(redact(rest.decode(errors="replace"), [self._admin.password]))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._exactly(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self._reply() for _ in range(int(rest))]
        return rest

    def _line(self) -> bytes:
        try:
            line = self._file.readline()
        except OSError as error:
            raise _gone(error) from error
        if not line.endswith(b"\r\n"):
            raise _gone(ConnectionResetError())
        return line

    def _exactly(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
        except OSError as error:
            raise _gone(error) from error
        if len(data) < size:
            raise _gone(ConnectionResetError())
        return data


def command_bytes(command: Sequence[Part]) -> bytes:
    """One command as it travels."""
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def _gone(error: OSError) -> SeedFailed:
    return SeedFailed(
        "redis takes commands",
        network_reason(error, SECONDS),
        "look into `envctl logs redis`, bring it up with `envctl up`, then run `envctl seed` again: it goes on",
    )

"""A conversation with Redis of many questions, each with its own time limit, without a client library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from envctl.errors import redact
from envctl.protocols import NotReady
from envctl.services.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.model import Endpoint, Identity

    Reply = Any  # str, bytes (bulk), int, None, Refusal, or a list of replies

TIMEOUT = 5.0


class Refusal(NotReady):
    """An error reply, in the server's words."""


class Conversation:
    """A connection logged in as `identity`. Use it as a context manager, or `close` it.

    Raises (all methods): NotReady when the server does not answer within `timeout` seconds, closes, or is not Redis;
    Refusal, which is one, when it refuses.
    """

    def __init__(self, at: Endpoint, identity: Identity, timeout: float = TIMEOUT) -> None:
        self._identity = identity
        self._wire = Wire(at.host, at.port, timeout)
        try:
            self.ask("AUTH", identity.username, identity.password)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; idempotent."""
        self._wire.__exit__()

    def ask(self, *command: str | bytes) -> Reply:
        """One command's reply."""
        (reply,) = self.ask_all([command])
        if isinstance(reply, Refusal):
            raise reply
        return reply

    def ask_all(self, commands: Sequence[Sequence[str | bytes]]) -> list[Reply]:
        """The replies of commands sent at once, so that nothing comes between them on the way; a refusal stands in its
        place.
        """
        self._wire.renew()
        self._wire.send(b"".join(_encoded(command) for command in commands))
        return [self.reply() for _ in commands]

    def reply(self) -> Reply:
        """The next reply."""
        try:
            return self._reply()
        except ValueError as error:
            raise NotReady("what answers is not Redis") from error

    def renew(self) -> None:
        """Start the time limit anew, for replies that come by themselves."""
        self._wire.renew()

    def _reply(self) -> Reply:
        line = self._wire.line()
        kind, rest = line[:1], line[1:].decode(errors="surrogateescape")
        if kind == b"-":
            return Refusal(redact(rest, [self._identity.password])[:160])
        if kind == b"$":
            return None if rest == "-1" else self._wire.exactly(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == "-1" else [self._reply() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind != b"+":
            raise ValueError(line[:20])
        return rest


def text(reply: Reply) -> str:
    """A reply as text, whatever bytes are in it."""
    return reply.decode(errors="surrogateescape") if isinstance(reply, bytes) else str(reply)


def _encoded(command: Sequence[str | bytes]) -> bytes:
    parts = [part if isinstance(part, bytes) else part.encode(errors="surrogateescape") for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)

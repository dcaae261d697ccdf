"""The requests that clients send, as a gate reads them from the bytes of one connection: nothing is changed.

A gate may come when a connection is long under way: then reading begins with the next packet that looks like the
beginning of a request, which is nearly always the next packet.
"""

from __future__ import annotations

import struct
from typing import Protocol

_HEADER, _LENGTH = 5, 4
_LONGEST = 1 << 30
_KEPT = 1 << 20
"""Bytes of a request that are read: what comes later is not looked at."""


class Parser(Protocol):
    """One connection. It is made with the identity whose connections are left alone."""

    def __init__(self, exempt: str) -> None: ...

    def requests(self, data: bytes) -> list[str]:
        """The texts of the requests that these bytes complete, or none where the connection is exempt."""
        ...

    def lost(self) -> None:
        """Some bytes were not seen: begin anew with the next."""
        ...


class Postgres:
    """PostgreSQL's protocol 3: a simple query, and the execution of what was parsed, each as its statement.

    A statement that was prepared before the gate stood is not known: its text is empty.
    """

    _KINDS = frozenset(b"QPBESXFCDHdcfp")
    _READ = frozenset(b"QPBE")

    def __init__(self, exempt: str) -> None:
        self._exempt = b"user\0" + exempt.encode() + b"\0"
        self._buffer, self._skip, self._ours = b"", 0, False
        self._prepared: dict[bytes, str] = {}
        self._portals: dict[bytes, str] = {}

    def lost(self) -> None:
        """Begin anew; what was prepared is known still."""
        self._buffer, self._skip = b"", 0

    def requests(self, data: bytes) -> list[str]:
        """The statements that begin to run when the server gets these bytes."""
        found: list[str] = []
        while data and not self._ours:
            if self._skip:
                passed = min(self._skip, len(data))
                self._skip, data = self._skip - passed, data[passed:]
                continue
            self._buffer, data = self._buffer + data, b""
            size = self._size()
            if size < 0:  # not the beginning of anything: in the midst of something
                self._buffer = b""
            elif 0 < size <= len(self._buffer):
                message, data, self._buffer = self._buffer[:size], self._buffer[size:], b""
                found += self._message(message)
            elif size and (self._buffer[0] not in self._READ or len(self._buffer) > _KEPT):
                found += self._message(self._buffer) if self._buffer[0] in self._READ else []
                self._skip, self._buffer = size - len(self._buffer), b""
        return found

    def _size(self) -> int:
        """Of the message that the buffer begins with: 0 where that is not known yet, -1 where it is none."""
        if self._buffer[0] == 0:  # what begins a connection has no kind
            whole = len(self._buffer) >= _LENGTH
            size = struct.unpack_from(">I", self._buffer)[0] if whole else 0
            return size if not whole or _LENGTH < size < _LONGEST else -1
        if self._buffer[0] not in self._KINDS:
            return -1
        if len(self._buffer) < _HEADER:
            return 0
        size = struct.unpack_from(">I", self._buffer, 1)[0]
        return 1 + size if _LENGTH <= size < _LONGEST else -1

    def _message(self, message: bytes) -> list[str]:
        kind, body = message[0], message[_HEADER:]
        if kind == 0:
            self._ours = len(self._exempt) > len(b"user\0\0") and self._exempt in message
        if kind == ord("Q"):
            return [_text(body)]
        words = body.split(b"\0")
        if kind == ord("P") and len(words) > 1:
            self._prepared[words[0]] = _text(words[1])
        if kind == ord("B") and len(words) > 1:
            self._portals[words[0]] = self._prepared.get(words[1], "")
        return [self._portals.get(words[0], "")] if kind == ord("E") else []


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")


class Redis:
    """Redis' protocol, 2 and 3: a command counts as its words with a space between them; of many or of long ones the
    first are read. Commands that are typed without it (`PING` and a line's end) are not seen.
    """

    _WORD, _WORDS = 4096, 64

    def __init__(self, exempt: str) -> None:
        self._exempt, self._ours = exempt, False
        self.lost()

    def lost(self) -> None:
        """Begin anew with the next command."""
        self._buffer, self._word, self._words = bytearray(), bytearray(), list[str]()
        self._left = self._size = 0  # words of the command, and bytes of the word

    def requests(self, data: bytes) -> list[str]:
        """The commands that are whole with these bytes."""
        found: list[str] = []
        self._buffer += data
        while self._buffer and self._step(found):
            pass
        return [] if self._ours else found

    def _step(self, found: list[str]) -> bool:
        """Read on; whether there was enough for that."""
        if self._size:
            part = self._buffer[: self._size]
            self._word += part[: max(0, self._WORD - len(self._word))]
            self._size -= len(part)
            del self._buffer[: len(part)]
            if not self._size:
                self._end(found)
            return True
        line, end, rest = self._buffer.partition(b"\n")
        if not end:
            return False
        self._buffer = rest
        number = int(line[1:]) if line[1:].strip().isdigit() else -1
        if self._left and line[:1] == b"$" and number >= 0:
            self._word, self._size = bytearray(), number + len(b"\r\n")
        else:
            self._words, self._left = [], max(0, number) if line[:1] == b"*" else 0
        return True

    def _end(self, found: list[str]) -> None:
        """A word is whole."""
        self._left -= 1
        if len(self._words) < self._WORDS:
            self._words.append(self._word.removesuffix(b"\r\n").decode(errors="replace"))
        if not self._left:
            found.append(" ".join(self._words))
            login = [word.lower() for word in self._words[:1]] in (["auth"], ["hello"])
            self._ours = self._ours or (login and bool(self._exempt) and self._exempt in self._words)


PROTOCOLS: dict[str, type[Parser]] = {"postgres": Postgres, "redis": Redis}

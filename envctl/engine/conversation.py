"""A dialogue in lines with a program that runs in a container, for as long as this process lives.

The program's standard input ends when this process does, however that happens: by that it knows that it is alone.
"""

from __future__ import annotations

import json
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady

if TYPE_CHECKING:
    import docker

_HEADER = 8
_OUTPUT = 1


class Conversation:
    """Lines of JSON, there and back. One thread at a time speaks, another may listen.

    Every method raises `NotReady` where the program has ended, with the last that it said to its error stream.
    """

    def __init__(self, api: docker.APIClient, execution: str) -> None:
        # The SDK wraps the connection differently for each way to reach an engine; what it wraps can all be read.
        self._stream: Any = api.exec_start(execution, socket=True)
        self._socket: Any = getattr(self._stream, "_sock", self._stream)
        self._raw, self._said, self._complaint = b"", b"", b""

    def say(self, word: object) -> None:
        """Send one value."""
        try:
            self._socket.sendall(json.dumps(word).encode() + b"\n")
        except OSError as error:
            raise NotReady(self._ended()) from error

    def hear(self, timeout: float) -> Any:  # noqa: ANN401 - the program's JSON
        """The next value; None when none came within `timeout` seconds."""
        end = time.monotonic() + timeout
        while b"\n" not in self._said:
            left = end - time.monotonic()
            if left <= 0:
                return None
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                return None
            except OSError as error:
                raise NotReady(self._ended()) from error
            if not data:
                raise NotReady(self._ended())
            self._take(data)
        line, self._said = self._said.split(b"\n", 1)
        return json.loads(line)

    def close(self) -> None:
        """Hang up; the program's standard input ends."""
        with suppress(OSError):
            self._socket.close()
            self._stream.close()

    def _take(self, data: bytes) -> None:
        """Sort what came by its stream."""
        self._raw += data
        while len(self._raw) >= _HEADER:
            stream, size = struct.unpack_from(">BxxxI", self._raw)
            if len(self._raw) < _HEADER + size:
                return
            content, self._raw = self._raw[_HEADER : _HEADER + size], self._raw[_HEADER + size :]
            if stream == _OUTPUT:
                self._said += content
            else:
                self._complaint += content

    def _ended(self) -> str:
        return self._complaint.decode(errors="replace").strip().rpartition("\n")[2] or "the program has ended"

"""Answers for a Redis as it answers while it loads its data, in the network namespace in which it runs.

    python3 -c … begin NAME PORT PID SECONDS REFUSED
    python3 -c … state NAME
    python3 -c … end NAME

`begin` returns when the gate stands: a process that passes on what clients and, from loopback, the server say, and the
way to it (`redirect`), by the table NAME. REFUSED (JSON) are commands, `get` or `config|set`, that the server would not
run while it loads. Each is passed on as one that no server knows, and its answer is told as LOADING: so all answers
stay in their order, and a transaction with such a command in it is discarded by the server itself. Nothing of a refused
command reaches it. The gate ends after SECONDS, by SIGTERM, or when the server's process PID does, and closes its
connections; when it is killed the kernel soon leads nobody to it any more. Each prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import threading
import time
from contextlib import suppress

from envctl.engine.gates import redirect, standing

_LOOK, _PATIENCE = 0.2, 5.0
_LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"
_PIECE, _END = 65536, b"\r\n"


class Requests:
    """What one client says: bytes in, bytes for the server out."""

    def __init__(self, refused: frozenset[str], unknown: bytes) -> None:
        self._refused, self._unknown = refused, b"*1\r\n$%d\r\n%b\r\n" % (len(unknown), unknown)
        self._buffer = bytearray()

    def receive(self, data: bytes) -> bytes:
        """What is passed on after these bytes: whole commands, or all that is none."""
        self._buffer += data
        out = bytearray()
        while self._buffer:
            try:
                size, words = _command(self._buffer)
            except ValueError:  # the server will say what is wrong with it
                size, words = len(self._buffer), []
            if not size:
                break
            out += self._unknown if self._refuses(words) else self._buffer[:size]
            del self._buffer[:size]
        return bytes(out)

    def _refuses(self, words: list[str]) -> bool:
        return words[:1] != [] and not self._refused.isdisjoint({words[0], "|".join(words[:2])})


def _command(data: bytearray) -> tuple[int, list[str]]:
    """The size of the command with which these bytes begin, 0 where it is not whole, and its first two words."""
    end = data.find(b"\n")
    if end < 0:
        return 0, []
    if data[:1] != b"*":
        return end + 1, [word.decode(errors="replace").lower() for word in data[:end].split()[:2]]
    place, words = end + 1, list[str]()
    for number in range(int(data[1:end])):
        end = data.find(b"\n", place)
        if end < 0:
            return 0, []
        size, place = int(data[place + 1 : end]), end + 1
        if number < 2:  # noqa: PLR2004 - a command and its subcommand
            words.append(data[place : place + size].decode(errors="replace").lower())
        place += size + len(_END)
        if size < 0 or place > len(data):
            return 0, []
    return place, words


class Answers:
    """What the server says to one client: bytes in, bytes for the client out, whole lines where they are short."""

    def __init__(self, unknown: bytes) -> None:
        self._refusal = b"-ERR unknown command '" + unknown
        self._rest = self._before = b""

    def receive(self, data: bytes) -> bytes:
        """What is passed on after these bytes."""
        *lines, self._rest = (self._rest + data).split(_END)
        out = b"".join(self._told(line + _END) for line in lines)
        if len(self._rest) > _PIECE:
            out, self._rest = out + self._rest, b""
        return out

    def _told(self, line: bytes) -> bytes:
        before, self._before = self._before, line
        if line.startswith(self._refusal):
            return _LOADING
        # As INFO says it (RESP3 puts `txt:` before it), and no message of a client's.
        said = line == b"loading:0\r\n" and before.endswith(b"# Persistence\r\n")
        return b"loading:1\r\n" if said else line


class Gate:
    """Listens; each connection has two threads of its own."""

    def __init__(self, name: str, port: int, refused: list[str]) -> None:
        self._unknown, self._port, self._refused = name.encode(), port, frozenset(refused)
        self.listener = redirect.listen()
        self._poll = select.poll()
        self._poll.register(self.listener, select.POLLIN)
        self._open: set[socket.socket] = set()

    def turn(self) -> None:
        """Take those who come within a short time."""
        for _ in redirect.polled(lambda seconds: self._poll.poll(seconds * 1000), _LOOK):
            client, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Send everybody away; they may come back."""
        self.listener.close()
        for one in list(self._open):
            _hang_up(one)

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._port), _PATIENCE)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        self._open.update({client, server})
        back = threading.Thread(target=_pass, args=(server, client, Answers(self._unknown)), daemon=True)
        back.start()
        _pass(client, server, Requests(self._refused, self._unknown))
        back.join()
        self._open.difference_update({client, server})
        client.close()
        server.close()


def _pass(source: socket.socket, target: socket.socket, stream: Requests | Answers) -> None:
    """Until the one says no more, which the other is told; or until one of both is gone, and then so is the other."""
    try:
        while data := source.recv(_PIECE):
            target.sendall(stream.receive(data))
        target.shutdown(socket.SHUT_WR)
    except OSError:
        _hang_up(source)
        _hang_up(target)


def _hang_up(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


def begin(name: str, port: int, pid: int, seconds: float, refused: list[str]) -> None:
    """Put the gate up, and leave it to itself."""
    gate, last = Gate(name, port, refused), time.monotonic() + seconds
    way = redirect.Redirect(name, port, gate.listener.getsockname()[1])

    def serve() -> None:
        while time.monotonic() < last and os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
            way.renew()
            gate.turn()

    redirect.begin(name, way, serve, gate.close)


def main(verb: str, name: str, *rest: str) -> None:
    """Do one of the three."""
    if verb == "begin":
        port, pid, seconds, refused = rest
        begin(name, int(port), int(pid), float(seconds), json.loads(refused))
        return
    if verb == "end":
        redirect.end(name)
    sys.stdout.write(json.dumps({"table": redirect.stands(name), "alive": bool(standing.alive(name))}))


if __name__ == "__main__":
    main(*sys.argv[1:])

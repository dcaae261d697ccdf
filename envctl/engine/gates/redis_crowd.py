"""Holds connections to a Redis, in the network namespace in which it runs, until it takes no more.

    python3 -c … begin NAME PORT PID SECONDS KEEP
    python3 -c … state NAME
    python3 -c … end NAME

`begin` returns when the server has refused one, and KEEP were given up again: a process that holds the others goes on
by itself. Where KEEP is 0 it takes each one that becomes free. It ends after SECONDS, by SIGTERM, or when the server's
process PID does, and its connections with it, however it ends. `end` is idempotent and asks the server nothing. Each
prints one line of JSON: whether it is `alive`, and how many it `held`.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from envctl.engine.gates import standing

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK, _PATIENCE = 0.2, 5.0
_MOST = 20_000


class Crowd:
    """Connections that are held, and say nothing."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._held: dict[int, socket.socket] = {}
        self._poll = select.poll()

    def __len__(self) -> int:
        return len(self._held)

    def enter(self) -> bool:
        """Make one more; whether the server took it. One that is taken is told that it must log in."""
        one = socket.create_connection(("127.0.0.1", self._port), _PATIENCE)
        with suppress(ConnectionError):
            if self.taken(one):
                self._held[one.fileno()] = one
                self._poll.register(one, select.POLLIN)
                return True
        one.close()
        return False

    def taken(self, one: socket.socket) -> bool:
        """Whether the server serves it."""
        one.sendall(b"PING\r\n")
        said = one.recv(512)
        return bool(said) and b"max number of clients" not in said

    def fill(self) -> None:
        """Until it takes no more."""
        while len(self) < _MOST and self.enter():
            pass

    def leave(self, number: int) -> None:
        """Give so many up."""
        for descriptor in list(self._held)[:number]:
            self._drop(descriptor)

    def settle(self, seconds: float) -> int:
        """Wait so long; how many the server has closed meanwhile."""
        time.sleep(seconds)
        gone = [descriptor for descriptor, _ in self._poll.poll(0)]
        for descriptor in gone:
            self._drop(descriptor)
        return len(gone)

    def _drop(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        self._held.pop(descriptor).close()


def begin(name: str, crowd: Crowd, pid: int, seconds: float, keep: int) -> None:
    """Have the crowd there, and leave it to itself."""

    def stay(stands: Callable[[dict[str, Any]], None]) -> None:
        try:
            standing.note(name)
            crowd.fill()
            crowd.leave(keep)
            standing.note(name, held=len(crowd))
            stands({"alive": True, "held": len(crowd)})
            _stay(crowd, pid, time.monotonic() + seconds, keep)
        finally:
            standing.forget(name)

    standing.leave(stay)


def _stay(crowd: Crowd, pid: int, last: float, keep: int) -> None:
    while time.monotonic() < last and os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
        gone = crowd.settle(_LOOK)
        # Between two processes of the server's, or while it is paused, there is nobody to ask.
        with suppress(OSError):
            if not keep:
                crowd.fill()
            elif gone:
                _ = all(crowd.enter() for _ in range(gone))


def main(verb: str, name: str, *rest: str, kind: type[Crowd] = Crowd) -> None:
    """Do one of the three, with a crowd of that kind."""
    if verb == "begin":
        port, pid, seconds, keep = rest
        begin(name, kind(int(port)), int(pid), float(seconds), int(keep))
        return
    if verb == "end":
        standing.stop(name)
        standing.forget(name)
    sys.stdout.write(json.dumps({"alive": bool(standing.alive(name)), "held": standing.facts(name).get("held", 0)}))


if __name__ == "__main__":
    main(*sys.argv[1:])

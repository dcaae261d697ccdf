"""Keeps a Redis busy now and then, from the network namespace in which it runs.

    ENVCTL_USER=… ENVCTL_PASSWORD=… python3 -c … begin NAME PORT PID SECONDS BUSY EVERY
    python3 -c … state NAME
    python3 -c … end NAME

`begin` returns when the server was busy once: a process goes on by itself, which has it run a script of BUSY seconds
every EVERY seconds, on a connection of that NAME. It ends after SECONDS, by SIGTERM, or when the server's process PID
does; a script that runs then comes to its end. `end` is idempotent. Each prints one line of JSON: whether it is
`alive`, how often the server was busy (`times`), and the seconds that the `last` time took.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from envctl.engine.gates import standing

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK, _PATIENCE = 0.2, 60.0
_SCRIPT = """
local function spent()
  return tonumber(string.match(redis.call('INFO', 'commandstats'), 'cmdstat_info:calls=%d+,usec=(%d+)') or 0)
end
local last = spent() + tonumber(ARGV[1])
repeat until spent() >= last
"""
"""To a script TIME stands still; the time that its own calls took, as the server counts it, goes on."""


class Worker:
    """A client that gives the server work."""

    def __init__(self, name: str, port: int, busy: float) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE)
        self._busy = str(round(busy * 1e6))
        self._ask("AUTH", os.environ.pop("ENVCTL_USER"), os.environ.pop("ENVCTL_PASSWORD"))
        self._ask("CLIENT", "SETNAME", name)

    def work(self) -> float:
        """Have it be busy; the seconds that it took."""
        start = time.monotonic()
        self._ask("EVAL", _SCRIPT, "0", self._busy)
        return time.monotonic() - start

    def _ask(self, *words: str) -> None:
        parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        self._socket.sendall(f"*{len(words)}\r\n{parts}".encode())
        answer = b""
        while not answer.endswith(b"\r\n"):
            data = self._socket.recv(4096)
            if not data:
                raise OSError("the server has closed the connection")
            answer += data
        if answer.startswith(b"-"):
            raise OSError(answer.decode(errors="replace").strip())


def begin(name: str, worker: Worker, pid: int, seconds: float, every: float) -> None:
    """Begin, and go on by itself."""

    def stay(stands: Callable[[dict[str, Any]], None]) -> None:
        last = time.monotonic() + seconds
        try:
            standing.note(name)
            _work(name, worker, 1)
            stands(state(name))
            times, due = 1, time.monotonic() + every
            while time.monotonic() < last and os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
                select.select([], [], [], max(0.0, min(_LOOK, due - time.monotonic())))
                if time.monotonic() >= due:
                    times, due = times + 1, time.monotonic() + every
                    _work(name, worker, times)
        finally:
            standing.forget(name)

    standing.leave(stay)


def _work(name: str, worker: Worker, times: int) -> None:
    standing.note(name, times=times, last=worker.work())


def state(name: str) -> dict[str, Any]:
    """What there is of it."""
    facts = standing.facts(name)
    return {"alive": bool(standing.alive(name)), "times": facts.get("times", 0), "last": facts.get("last", 0.0)}


def main(verb: str, name: str, *rest: str) -> None:
    """Do one of the three."""
    if verb == "begin":
        port, pid, seconds, busy, every = rest
        begin(name, Worker(name, int(port), float(busy)), int(pid), float(seconds), float(every))
        return
    if verb == "end":
        standing.stop(name)
        standing.forget(name)
    sys.stdout.write(json.dumps(state(name)))


if __name__ == "__main__":
    main(*sys.argv[1:])

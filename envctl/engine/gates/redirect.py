"""How new connections to a port come to a gate in its place, and how such a gate goes on by itself until it ends.

    python3 -c … state NAME
    python3 -c … end NAME

`state` says whether the gate's `table` is there, whether it is `alive`, and what it has counted, as of half a second
ago; `end` has it go, if it is there, says what is left, the last counts, and whether it `stood`. Each prints a line of
JSON.

The way is an nftables table of the gate's name, of its own (loopback excepted): the port is in it for as long as the
gate renews that, so that connections go to the server again soon after the gate was killed. Whoever talks to the port
past the gate meanwhile, because he was there before, is reset.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from envctl.engine.gates import standing

if TYPE_CHECKING:
    from collections.abc import Callable

_LEASE, _RENEWED = 2, 0.5
"""Seconds for which the port is in the table, and after which it is put there anew."""
_LOOPBACK = "dst 127.0.0.0/8 or dst ::ffff:127.0.0.0/104 or dst ::1/128"
_TABLE = """
table inet {name} {{
  set gated {{ type inet_service; flags timeout; elements = {{ {port} timeout {lease}s }}; }}
  chain lead {{ type nat hook prerouting priority dstnat - 1; policy accept;
    iifname != "lo" tcp dport @gated redirect to :{gate};
  }}
  chain cut {{ type filter hook input priority filter; policy accept;
    iifname != "lo" tcp dport @gated reject with tcp reset;
  }}
}}
"""


def _run(*command: str, text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip().partition(chr(10))[0]}")
    return done.stdout


def listen() -> socket.socket:
    """All addresses, of both kinds where there are two: a redirected connection arrives at that of its interface."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
    return socket.create_server(("0.0.0.0", 0), backlog=512)  # noqa: S104


def polled(poll: Callable[[float], list[tuple[int, int]]], wait: float) -> list[tuple[int, int]]:
    """What `poll` says, while which alone SIGTERM ends a gate: nothing is left half done."""
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    try:
        return poll(wait)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stands(name: str) -> bool:
    """Whether the table of that name is there."""
    return f"table inet {name}\n" in _run("nft", "list", "tables")


def remove(name: str) -> None:
    """Take the table away; idempotent."""
    if stands(name):
        with suppress(OSError):  # another one was faster; `stands` sees it where it was not
            _run("nft", "delete", "table", "inet", name)


class Redirect:
    """The way from a server's port to a gate's."""

    def __init__(self, name: str, port: int, gate: int) -> None:
        self._name, self._port, self.gate = name, port, gate
        self._renewal: subprocess.Popen[str] | None = None
        self._next = 0.0
        self._begun: dict[str, int] = {}

    def open(self) -> dict[str, int]:
        """Lead what is new to the gate, and cut what was there before: its port, and how many connections.

        Raises:
            OSError: this kernel cannot.

        """
        _run("nft", "-f", "-", text=_TABLE.format(name=self._name, port=self._port, lease=_LEASE, gate=self.gate))
        self._next = time.monotonic() + _RENEWED
        live = f"state established sport = :{self._port} and not ( {_LOOPBACK} )"
        # A kernel that cannot do this cuts them by the table's second rule, when they next say something.
        cut = len(_run("ss", "-KHt", *live.split()).splitlines())
        self._begun = {"port": self.gate, "cut": cut}
        self.note()
        return self._begun

    def note(self, **counts: int) -> None:
        """Write down how it began, and what was counted."""
        standing.note(self._name, begun=self._begun, counts=counts)

    def renew(self, **counts: int) -> None:
        """Say that the gate lives, and what it has counted, where it is time; it does not wait for the kernel."""
        if time.monotonic() < self._next or (self._renewal and self._renewal.poll() is None):
            return
        # An element that is there keeps its time: it must go before it comes, in one transaction.
        order = f"flush set inet {self._name} gated; "
        order += f"add element inet {self._name} gated {{ {self._port} timeout {_LEASE}s }}"
        self._renewal = subprocess.Popen(["nft", order], stderr=subprocess.DEVNULL, text=True)
        self._next = time.monotonic() + _RENEWED
        self.note(**counts)

    def end(self) -> None:
        """Lead nobody to the gate any more; who is there can stay, and the table stands."""
        if self._renewal:
            self._renewal.wait()
        with suppress(OSError):  # somebody removed it
            _run("nft", f"flush set inet {self._name} gated")


def begin(name: str, way: Redirect, serve: Callable[[], None], close: Callable[[], dict[str, int] | None]) -> None:
    """Put a gate up, and leave it to itself: `serve` until that ends or SIGTERM comes, then `close`, which may say what
    was counted. The process that calls says the gate's port and how many connections were `cut`, and ends. It may be
    called twice, as every operation may.
    """
    if standing.alive(name):
        sys.stdout.write(json.dumps(standing.facts(name).get("begun", {})))
        sys.exit(0)

    def stay(stands: Callable[[dict[str, Any]], None]) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        try:
            standing.note(name)
            stands(way.open())
            serve()
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            way.end()
            counts = close() or {}
            remove(name)
            way.note(**counts)

    standing.leave(stay)


def state(name: str) -> dict[str, Any]:
    """What there is of a gate."""
    return {"table": stands(name), "alive": bool(standing.alive(name)), **standing.facts(name).get("counts", {})}


def end(name: str) -> dict[str, Any]:
    """Take a gate down, and what a killed one has left; what is there of it then. It may be called twice, too."""
    stood = bool(standing.alive(name))
    standing.stop(name)
    remove(name)
    if facts := standing.facts(name):
        stood = stood or facts.get("stood", False)
        standing.note(name, **{**facts, "stood": stood})
    return {**state(name), "stood": stood}


if __name__ == "__main__":
    _, verb, gate = sys.argv
    sys.stdout.write(json.dumps(end(gate) if verb == "end" else state(gate)))

"""ZooKeeper's sessions: who has one, which nodes live with it, and how to end another's.

A session's password is made of its number alone, so whoever knows the number can take the session over and close it.
For its owner that is what an expiry is: he reconnects, and is told that his session is no more.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from envctl.errors import FaultUnfit
from envctl.protocols import NotReady
from envctl.services.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envctl.model import Endpoint

_SESSION_MS = 10_000
_CLOSE = -11
_SALT = 0xB3415C00
_MULTIPLIER, _ADDEND, _MASK = 0x5DEECE66D, 0xB, (1 << 48) - 1
"""Of java.util.Random."""
_TITLE = "SessionTracker dump:"
_CONNECTION = re.compile(r"^ /(.+):\d+\[.*sid=(0x[0-9a-f]+)", re.MULTILINE)


def sessions(at: Endpoint, timeout: float) -> dict[str, list[str]]:
    """Every session by its number (`0x1000…`), with the nodes that live with it.

    Raises:
        NotReady: no answer within `timeout` seconds.
        FaultUnfit: the server may not tell.

    """
    with Wire(at.host, at.port, timeout) as wire:
        wire.send(b"dump")
        told = wire.rest().decode(errors="replace")
    if not told:
        raise NotReady("ZooKeeper did not tell its sessions")
    if not told.startswith(_TITLE):
        advice = "let zookeeper.4lw.commands.whitelist have it"
        raise FaultUnfit("ZooKeeper's command `dump`", told.strip().splitlines()[0], advice)
    tracked, _, rest = told.partition("ephemeral nodes dump:")
    found: dict[str, list[str]] = {line.strip(): [] for line in tracked.splitlines() if line.startswith("\t0x")}
    owner = ""
    for line in rest.partition("Connections dump:")[0].splitlines():
        if line.startswith("0x"):
            owner = line.rstrip(":")
        elif line.startswith("\t/"):
            found.setdefault(owner, []).append(line.strip())
    return found


def owners(at: Endpoint, timeout: float) -> dict[str, str]:
    """The address from which each session is open; none where the server may not tell.

    Raises:
        NotReady: no answer within `timeout` seconds.

    """
    with Wire(at.host, at.port, timeout) as wire:
        wire.send(b"cons")
        told = wire.rest().decode(errors="replace")
    return {session: address for address, session in _CONNECTION.findall(told)}


def expire(at: Endpoint, session: str, timeout: float) -> None:
    """End a session; one that is no more is fine.

    Raises:
        NotReady: the server did not do it within `timeout` seconds.

    """
    number = int(session, 16)
    opening = struct.pack("!iqiq", 0, 0, _SESSION_MS, number) + _sized(password(number)) + b"\0"
    # In one go: the owner comes back in no time, and would take the session from us in his turn.
    with Wire(at.host, at.port, timeout) as wire:
        wire.send(_sized(opening) + _sized(struct.pack("!ii", 1, _CLOSE)))
        wire.rest()


def password(session: int) -> bytes:
    """The password that a server gives to the session of this number."""
    return bytes(byte for _, byte in zip(range(16), _random(session ^ _SALT), strict=False))


def _random(seed: int) -> Iterator[int]:
    """The bytes of java.util.Random."""
    state = (seed ^ _MULTIPLIER) & _MASK
    while True:
        state = (state * _MULTIPLIER + _ADDEND) & _MASK
        yield from (state >> 16 & 0xFFFFFFFF).to_bytes(4, "little")


def _sized(content: bytes) -> bytes:
    return struct.pack("!i", len(content)) + content

"""What a wire does to connections and to names, measured by connections and queries of its own.

A probe of `kind` `connection`: `from` (a process id, in whose namespace it is opened), `address`, `port` and `wait`
(seconds). One that was opened before the fault is kept, and looked at afterwards. Of `kind` `name`: `from`, `name` and
`wait`; asked of Docker's DNS. Of kind `closing`: `from` opens a connection to `to`, at `address`, from its own `port`
(None: any); then the `side` (`from` or `to`) closes it, and the other one has `wait` seconds to see that.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from contextlib import suppress
from typing import Any

from envctl.engine.operations import namespaces

_RESOLVER = ("127.0.0.11", 53)
_HEAD = struct.Struct(">HHHHHH")
_ASKED = 0x0100
"""A question that wants recursion (RFC 1035)."""
_MOMENT = 0.5
_AT_ONCE, _FAR = 0.02, 2.0
"""Seconds in which a reset comes, or so many times as long as a round trip."""
_kept: dict[str, socket.socket] = {}
_took: dict[str, float] = {}


def measure(probe: dict[str, Any]) -> dict[str, Any]:
    """Of a connection: what became of a `new` one (`connected`, `refused`, `nothing`) and of the `live` one that an
    earlier look opened (`open`, `reset`, `closed`); of a name: `answered`, `refused`, `nothing`; of closing: `closed`,
    `nothing`; or `problem`, where it cannot be measured. With `ms`.
    """
    begin = time.monotonic()
    told: dict[str, Any] = {"name": _name, "connection": _connection, "closing": _closing}[probe["kind"]](probe)
    return {**told, "ms": round((time.monotonic() - begin) * 1000, 2)}


def _connection(probe: dict[str, Any]) -> dict[str, Any]:
    key = f"{probe['from']} {probe['address']} {probe['port']}"
    told: dict[str, Any] = {"live": _state(_kept[key], _took[key])} if key in _kept else {}
    with namespaces.of(probe["from"]):
        made = socket.socket(_family(probe), socket.SOCK_STREAM)
    # What the way takes by itself shows the first time: others may have made it long.
    made.settimeout(max(probe["wait"], _FAR * _took[key]) if key in _took else _MOMENT)
    begin = time.monotonic()
    try:
        made.connect((probe["address"], probe["port"]))
        told["new"] = "connected"
    except TimeoutError:
        told["new"] = "nothing"
    except OSError:
        told["new"] = "refused"
    _took.setdefault(key, time.monotonic() - begin)
    _kept.setdefault(key, made)
    return told


def _closing(probe: dict[str, Any]) -> dict[str, Any]:
    with namespaces.of(probe["to"]):
        listener = socket.create_server((probe["address"], 0), family=_family(probe))
    with namespaces.of(probe["from"]):
        opener = socket.socket(_family(probe), socket.SOCK_STREAM)
    with listener, opener:
        if probe["port"]:
            opener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opener.bind((probe["own"], probe["port"]))
        opener.settimeout(probe["wait"] + _MOMENT)
        try:
            opener.connect(listener.getsockname())
        except OSError as error:
            return {"problem": str(error)}
        accepted = listener.accept()[0]
        closing, other = (opener, accepted) if probe["side"] == "from" else (accepted, opener)
        closing.close()
        return {"new": "closed" if select.select([other], [], [], probe["wait"])[0] else "nothing"}


def _family(probe: dict[str, Any]) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in probe["address"] else socket.AF_INET


def _state(connection: socket.socket, took: float) -> str:
    """A moment is left for a reset to come; `took` seconds is a round trip."""
    select.select([connection], [], [], max(_AT_ONCE, _FAR * took))
    connection.settimeout(0)
    try:
        return "open" if connection.recv(1, socket.MSG_PEEK) else "closed"
    except BlockingIOError:
        return "open"
    except OSError:
        return "reset"


def _name(probe: dict[str, Any]) -> dict[str, Any]:
    with namespaces.of(probe["from"]):
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    number = int.from_bytes(os.urandom(2))
    labels = b"".join(bytes([len(word)]) + word.encode() for word in probe["name"].split("."))
    with asker, suppress(TimeoutError):
        asker.settimeout(probe["wait"])
        try:
            asker.connect(_RESOLVER)
            asker.send(_HEAD.pack(number, _ASKED, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1))
            return {"new": "answered" if asker.recv(512)[:2] == number.to_bytes(2) else "nothing"}
        except (ConnectionError, PermissionError):
            return {"new": "refused"}
    return {"new": "nothing"}

"""What a wire does to packets, measured by packets of its own: datagrams between two network namespaces, on one clock,
by IPv4 or IPv6, whichever the address is of.

A probe: `from` and `to` (process ids, in whose namespaces the two ends are), `address` (of the receiving end), `port`
(that one of the two ends must have, for the fault to see the packets; None: any) and `side` (which: `from` or `to`),
`count`, `every` (seconds between two) and `size` (bytes).

With `flood` they are sent as fast as can be, to see at what rate they come: `skip` (bytes that a shaper lets through at
once), `overhead` (bytes of each datagram that count besides its own), `per_byte` (how much counts for one byte that is
meant) and `wait` (seconds at most, for all of it). With `also`, an address of IPv6, every other one goes there: it is
one rate that both have.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from contextlib import ExitStack, suppress
from typing import Any

from envctl.engine.operations import namespaces

_HEAD = struct.Struct(">IQ")
_LONGER = 20
"""Bytes by which a header of IPv6 is longer than one of IPv4."""
_GRACE = 0.02
"""Seconds to wait for what has not come, beyond what the probe says itself (`wait`)."""
_SNDBUFFORCE, _RCVBUFFORCE = 32, 33
"""SO_SNDBUFFORCE and SO_RCVBUFFORCE of asm-generic/socket.h: beyond the system's limits."""
_ROOM, _MANY, _ENOUGH = 2400, 500, 9
"""Bytes that the kernel reckons for a datagram; how many are sent one by one; how many tell a rate."""


def measure(probe: dict[str, Any]) -> dict[str, Any]:
    """Its `sent`, `received`, `ms` (least, middle, most), `twice`, `late` (after one that was sent later) and
    `broken`; of a flood `sent`, `received`, and `rate` in bits a second where enough came to tell; or `problem`, where
    it cannot be measured; and how many came by the other address, `also`.
    """
    with ExitStack() as stack:
        try:
            ends = [_ends(stack, probe, probe[one]) for one in ("address", "also") if probe.get(one)]
        except OSError as error:
            return {"problem": str(error)}
        if "flood" in probe:
            return _told_of_flood(_flood(probe, ends), probe)
        return _told(_exchange(probe, *ends[0]), probe)


def _ends(stack: ExitStack, probe: dict[str, Any], address: str) -> tuple[socket.socket, socket.socket]:
    """Where they are sent from and where they come, connected."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    source, sink = (
        stack.enter_context(_socket(family, probe[end], probe["port"] if probe["side"] == end else None))
        for end in ("from", "to")
    )
    source.connect((address, sink.getsockname()[1]))
    return source, sink


def _socket(family: socket.AddressFamily, pid: int, port: int | None) -> socket.socket:
    with namespaces.of(pid):
        made = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # the port is IPv4's too, at the same time
    made.settimeout(0)
    made.bind(("", port or 0))
    return made


def _exchange(probe: dict[str, Any], source: socket.socket, sink: socket.socket) -> list[tuple[int, float, bool]]:
    """Number, milliseconds on the way and soundness of each that came, in the order in which they came."""
    _make_room(probe, source, sink)
    body, came, sent = bytes(range(256)) * 6, list[tuple[int, float, bool]](), 0
    body = body[: max(0, probe["size"] - _HEAD.size)]
    begin = time.monotonic_ns()
    end = begin / 1e9 + probe["count"] * probe["every"] + probe["wait"] + _GRACE
    whole = set[int]()

    def take() -> None:
        for data, arrival in _received(sink):
            number, at = _HEAD.unpack_from(data)
            came.append((number, (arrival - at) / 1e6, data[_HEAD.size :] == body))
            whole.add(number)

    # All are sent and waited for, however late it is this program's turn.
    while sent < probe["count"] or (time.monotonic() < end and (len(whole) < sent or probe.get("linger"))):
        now = time.monotonic_ns()
        while sent < probe["count"] and now / 1e9 >= begin / 1e9 + sent * probe["every"]:
            _send(source, _HEAD.pack(sent, now) + body)
            sent += 1
            now = time.monotonic_ns()
            end = max(end, now / 1e9 + probe["wait"] + _GRACE)
        due = begin / 1e9 + sent * probe["every"] if sent < probe["count"] else end
        select.select([sink], [], [], max(0.0, due - time.monotonic()))
        take()
    take()
    return came


def _make_room(probe: dict[str, Any], source: socket.socket, sink: socket.socket) -> None:
    """For all of them: what is sent stays in the sender's buffer as long as something on the way holds it, and on a
    busy machine many are sent at once, when it is this program's turn again.
    """
    source.setsockopt(socket.SOL_SOCKET, _SNDBUFFORCE, probe["count"] * _ROOM)
    sink.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, probe["count"] * _ROOM)


def _send(source: socket.socket, data: bytes) -> None:
    with suppress(OSError):  # refused, here or at the other end: then it does not arrive, which is what is counted
        source.send(data)


def _received(sink: socket.socket) -> list[tuple[bytes, int]]:
    found = []
    try:
        while True:
            data = sink.recv(65536)
            if len(data) >= _HEAD.size:
                found.append((data, time.monotonic_ns()))
    except OSError:
        return found


def _told(came: list[tuple[int, float, bool]], probe: dict[str, Any]) -> dict[str, Any]:
    numbers, times = [number for number, _, _ in came], sorted(ms for _, ms, sound in came if sound)
    last, late = -1, 0
    for number in dict.fromkeys(numbers):
        late, last = late + (number < last), max(last, number)
    told: dict[str, Any] = {
        "sent": probe["count"],
        "received": len(set(numbers)),
        "twice": len(numbers) - len(set(numbers)),
        "late": late,
        "broken": sum(not sound for _, _, sound in came),
    }
    if times:
        told["ms"] = [round(times[0], 2), round(times[len(times) // 2], 2), round(times[-1], 2)]
    return told


def _flood(probe: dict[str, Any], ends: list[tuple[socket.socket, socket.socket]]) -> list[list[float]]:
    """When each came, by the address that it went to."""
    for source, sink in ends:
        _make_room(probe, source, sink)
    sources, sinks = ([pair[place] for pair in ends] for place in (0, 1))
    bodies = [bytes(probe["size"] - longer) for _, longer in zip(ends, (0, _LONGER), strict=False)]
    sent, came = 0, [list[float]() for _ in ends]
    # One by one each has a time of its own; of many the sending itself must be fast.
    at_once = 1 + probe["count"] // _MANY
    end = time.monotonic() + probe["flood"]["wait"]
    while sum(map(len, came)) < probe["count"] and (now := time.monotonic()) < end:
        ready = select.select(sinks, sources if sent < probe["count"] else [], [], end - now)
        for _ in range(min(at_once, probe["count"] - sent) if ready[1] else 0):
            _send(sources[sent % len(ends)], bodies[sent % len(ends)])
            sent += 1
        for sink, times in zip(sinks, came, strict=True):
            times += [arrival / 1e9 for _, arrival in _received(sink)]
    return came


def _told_of_flood(came: list[list[float]], probe: dict[str, Any]) -> dict[str, Any]:
    times = sorted(at for some in came for at in some)
    told: dict[str, Any] = {"sent": probe["count"], "received": len(times)}
    if "also" in probe:
        told["also"] = len(came[-1])
    weight, flood = probe["size"] + probe["flood"]["overhead"], probe["flood"]
    later = times[flood["skip"] // weight + 1 :]
    if len(later) >= _ENOUGH:
        told["rate"] = round(8 * weight * _pace(later) / flood.get("per_byte", 1))
    return told


def _pace(came: list[float]) -> float:
    """How many came in a second. A time is when one was taken, on a busy machine long after it came: so of the
    first and of the last third the one counts that was taken the soonest, by an even pace between first and last.
    """
    even = (came[-1] - came[0]) / (len(came) - 1)
    third = len(came) // 3
    first = min(range(third), key=lambda place: came[place] - place * even)
    last = min(range(len(came) - third, len(came)), key=lambda place: came[place] - place * even)
    return (last - first) / max(came[last] - came[first], 1e-9)

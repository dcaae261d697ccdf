"""The back ends of traffic control, `tc` and `netem`: queueing disciplines of the kernel on the container's interfaces.

What goes out passes one at the root of each interface; what comes in is led through a device of its own (ifb) with one.
They need no program; a child takes them away when the fault's time is over and nobody has done so. The wire's `how` has
the discipline as tc's words: `leaf`.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import time
from contextlib import suppress
from typing import Any

from envctl.engine.operations import leases, namespaces

_LENGTH = {"get": 0x8942, "set": 0x8943}
"""SIOCGIFTXQLEN and SIOCSIFTXQLEN of linux/sockios.h."""
_UNSHAPED = ("noqueue", "pfifo_fast", "fq_codel", "fq", "cake", "mq", "pfifo")
"""What the kernel or the system puts there by itself; then without a handle, `0:`."""
_FAMILIES = {"v4": ("ip", "ip", 1), "v6": ("ipv6", "ip6", 2)}
"""Of the addresses: the protocol, its name in a match, and the filters' place."""
_TCP, _UDP = 6, 17


def begin(wire: dict[str, Any]) -> dict[str, Any]:
    """Put them there, and before that the child that takes them away."""
    leases.after(wire["token"], wire["seconds"], lambda: _remove(wire))
    for place, device in enumerate(namespaces.interfaces()):
        length = _length(device)
        try:
            if "out" in wire["directions"]:
                _shape_out(wire, device)
            if "in" in wire["directions"]:
                _shape_in(wire, device, f"{_name(wire)}{place}")
        finally:
            # The kernel makes a length of 0 to 1000 when a discipline comes, and leaves it so.
            _length(device, length)
    return state(wire)


def state(wire: dict[str, Any]) -> dict[str, Any]:
    """What has passed in each direction, in bytes, and when that was read, in seconds of a clock of the machine's own;
    and the packets that were dropped.
    """
    told: dict[str, Any] = {way: {"bytes": 0, "drops": 0} for way in wire["directions"]}
    for way, one in _ours(wire, json.loads(namespaces.run("tc", "-s", "-j", "qdisc", "show"))):
        if one["kind"] != "htb":
            told[way]["bytes"] += one["bytes"]
            told[way]["drops"] += one["drops"]
    return {"shapers": {**told, "at": round(time.monotonic(), 4)}}


def end(wire: dict[str, Any]) -> bool:
    """Take them away, and the child; whether there were some in each direction. The service may have been connected to
    another network meanwhile, in which there are none.
    """
    leases.end(wire["token"])
    return _remove(wire) == set(wire["directions"])


def left(wire: dict[str, Any]) -> list[str]:
    """Those that are still there."""
    found = [f"{one['kind']} {one['handle']} on {one['dev']}" for _, one in _ours(wire, _queues())]
    return found + [f"the device {name}" for name in _mirrors(wire)]


def foreign(wire: dict[str, Any]) -> str:
    """Shapers that are there already, in the directions that are wanted; envctl's own too."""
    found = [
        f"{one['dev']} has a queueing discipline already: {one['kind']} {one['handle']}"
        for one in _queues()
        if one["dev"] in namespaces.interfaces() and _stands_in_the_way(one, wire["directions"])
    ]
    return "; ".join(found)


def _ours(wire: dict[str, Any], queues: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Its disciplines, each with its direction. A handle has room for a byte of the token: another fault, in
    the other direction, may have the same.
    """
    mine = [one for one in queues if _handle(wire) in {one["handle"], one.get("parent", "")[:5]}]
    found = [("in" if one["dev"].startswith("envctl") else "out", one) for one in mine]
    return [
        (way, one) for way, one in found if way in wire["directions"] and (way == "out" or _name(wire) in one["dev"])
    ]


def _stands_in_the_way(one: dict[str, Any], directions: list[str]) -> bool:
    if one["kind"] in {"ingress", "clsact"}:
        return "in" in directions
    automatic = one["handle"] == "0:" and one["kind"] in _UNSHAPED
    return bool(one.get("root")) and not automatic and "out" in directions


def _shape_out(wire: dict[str, Any], device: str) -> None:
    """All of it through the leaf; or, by classes, what matches, while the rest goes past."""
    matches, handle = _matches(wire, "dst"), _handle(wire)
    if matches == [_ALL]:
        _tc("qdisc add dev", device, "root handle", handle, *wire["how"]["leaf"])
    else:
        _tc("qdisc add dev", device, "root handle", handle, "htb")
        _tc("class add dev", device, "parent", handle, f"classid {handle}1 htb rate 100gbit quantum 60000")
        _tc("qdisc add dev", device, f"parent {handle}1", *wire["how"]["leaf"])
        for match in matches:
            _tc("filter add dev", device, "parent", handle, match, f"flowid {handle}{0 if match == _NEIGHBOURS else 1}")


def _shape_in(wire: dict[str, Any], device: str, mirror: str) -> None:
    """What matches goes round by a device with the leaf."""
    namespaces.run("ip", "link", "add", mirror, "type", "ifb")
    namespaces.run("ip", "link", "set", mirror, "up")
    _tc("qdisc add dev", mirror, "root handle", _handle(wire), *wire["how"]["leaf"])
    _tc("qdisc add dev", device, "ingress")
    for match in _matches(wire, "src"):
        way = "flowid ffff:1" if match == _NEIGHBOURS else f"action mirred egress redirect dev {mirror}"
        _tc("filter add dev", device, "parent ffff:", match, way)


_NEIGHBOURS = "protocol ipv6 prio 2 u32 match u16 0x3aff 0xffff at 6"
"""What IPv6 finds its neighbours by, as IPv4 does by ARP: ICMPv6 with a hop limit of 255, which the rest has not."""
_ALL = "protocol all u32 match u32 0 0"


def _matches(wire: dict[str, Any], side: str) -> list[str]:
    """Filters: each address with each port on either side, for TCP and UDP, whose ports are in the same place."""
    if wire["v4"] is None and not wire["ports"]:
        return [_ALL]
    found = []
    for family, (protocol, name, place) in _FAMILIES.items():
        if wire[family] is None and family == "v6" and not namespaces.speaks_ipv6():
            continue
        hosts = [""] if wire[family] is None else [f"match {name} {side} {one}" for one in wire[family]]
        ends = [
            f"match {name} protocol {number} 0xff match {name} {end} {port} 0xffff"
            for port in wire["ports"]
            for number in (_TCP, _UDP)
            for end in ("sport", "dport")
        ]
        if family == "v6" and hosts and not wire["ports"]:
            found.append(_NEIGHBOURS)
        found += [f"protocol {protocol} prio {place} u32 {host} {end}" for host in hosts for end in ends or [""]]
    return found


def _remove(wire: dict[str, Any]) -> set[str]:
    """Take away what is there; the directions in which it was whole."""
    gone = set()
    for way, one in _ours(wire, _queues()):
        if way == "out" and one.get("root") and _gone("tc", "qdisc", "del", "dev", one["dev"], "root"):
            gone.add("out")
    mirrors = _mirrors(wire)
    for one in _queues() if mirrors else []:
        if one["kind"] != "ingress":
            continue
        filters = namespaces.run("tc", "filter", "show", "dev", one["dev"], "parent", "ffff:")
        ours = any(mirror in filters for mirror in mirrors)
        # Without any filter it is what was begun here, and broke off: `foreign` saw none before.
        if (ours or not filters) and _gone("tc", "qdisc", "del", "dev", one["dev"], "ingress") and ours:
            gone.add("in")
    for mirror in mirrors:
        _gone("ip", "link", "del", mirror)
    return gone


def _gone(*command: str) -> bool:
    """Whether it was this command that took it away: another one may be faster, and `left` sees what stays."""
    with suppress(OSError):
        namespaces.run(*command)
        return True
    return False


def _queues() -> list[dict[str, Any]]:
    return list(json.loads(namespaces.run("tc", "-j", "qdisc", "show")))


def _mirrors(wire: dict[str, Any]) -> list[str]:
    return [name for _, name in socket.if_nameindex() if name.startswith(_name(wire))]


def _name(wire: dict[str, Any]) -> str:
    return f"envctl{wire['token'][:6]}"


def _handle(wire: dict[str, Any]) -> str:
    """`e4` says that it is envctl's, the rest whose."""
    return f"e4{wire['token'][:2]}:"


def _length(device: str, wanted: int | None = None) -> int:
    """How many packets wait for the device; set where one is wanted."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_one:
        asked = struct.pack("16si12x", device.encode(), wanted or 0)
        answer = fcntl.ioctl(any_one, _LENGTH["get" if wanted is None else "set"], asked)
    return int(struct.unpack("16si12x", answer)[1])


def _tc(*words: str) -> None:
    namespaces.run("tc", *" ".join(words).split())

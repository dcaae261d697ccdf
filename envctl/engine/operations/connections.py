"""The TCP connections of this network namespace: which of them a wire means, and cutting them."""

from __future__ import annotations

from typing import Any

from envctl.engine.operations import namespaces

Connection = tuple[str, int, str, int]
"""Own address and port, and the other side's."""

_AT_ONCE = 40
"""Connections in one of ss's filters, which may be 64 kB long."""
_MAPPED = "::ffff:"


def live(wire: dict[str, Any]) -> list[Connection]:
    """Those that are established now, not by loopback, and that the wire means: `in` are those that the service
    accepted, `out` those that it opened.
    """
    listening = {_end(line.split()[3])[1] for line in _ss("-ltnH")}
    wanted = {*wire["how"].get("ways", wire["directions"])}
    peers = None if wire["v4"] is None else {*wire["v4"], *wire["v6"]}
    found = []
    for line in _ss("-tnH", "state", "established"):
        (here, port), (there, far) = (_end(word) for word in line.split()[2:4])
        ways = {"in" if port in listening else "out"}
        if there.startswith("127.") or there == "::1" or not ways & wanted:
            continue
        if (peers is None or there in peers) and (not wire["ports"] or {port, far} & {*wire["ports"]}):
            found.append((here, port, there, far))
    return found


def cut(connections: list[Connection]) -> int:
    """Reset them, both ends at once; how many there still were."""
    done = 0
    for start in range(0, len(connections), _AT_ONCE):
        some = connections[start : start + _AT_ONCE]
        each = (f"( sport = :{own} and dst {_quoted(there)} and dport = :{far} )" for _, own, there, far in some)
        words = " or ".join(each)
        done += len(_ss("-KtnH", "state", "established", *f"( {words} )".split()))
    return done


def _ss(*words: str) -> list[str]:
    return namespaces.run("ss", *words).splitlines()


def _end(word: str) -> tuple[str, int]:
    address, _, port = word.rpartition(":")
    return address.strip("[]").removeprefix(_MAPPED).partition("%")[0], int(port) if port.isdecimal() else 0


def _quoted(address: str) -> str:
    return f"[{address}]" if ":" in address else address

"""The back end `nfqueue`: iptables leads packets through a queue to `envctl-packets` (compose/images/tools/packets).

The rules let everything pass when the program is gone. A packet that a queue lets go on continues in the next table, so
each such fault takes a table of its own in each direction: four at once on one container.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from envctl.engine.operations import leases, namespaces, tracing

_SLOTS = {
    "in": [("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("mangle", "INPUT"), ("filter", "INPUT")],
    "out": [("raw", "OUTPUT"), ("mangle", "OUTPUT"), ("filter", "OUTPUT"), ("mangle", "POSTROUTING")],
}
_TABLES = ("raw", "mangle", "filter")
_FAMILIES = {"v4": "iptables", "v6": "ip6tables"}
_NEIGHBOURS = range(133, 138)
"""ICMPv6's types by which IPv6 finds its neighbours, as IPv4 does by ARP, which no rule is about: they pass."""
_WAIT, _PATIENCE = 0.002, 5.0
_looked: dict[str, list[str]] = {}


def begin(wire: dict[str, Any]) -> dict[str, Any]:
    """Start the program, then lead packets to it."""
    _start(wire)
    for family, tool in _spoken():
        namespaces.run(f"{tool}-restore", "--noflush", "--wait", text=_rules(wire, family, tool))
    return {}


def state(wire: dict[str, Any]) -> dict[str, Any]:
    """The program's ledger."""
    return tracing.said(_ledger(wire))


def end(wire: dict[str, Any]) -> bool:
    """Take the rules away, then the program; whether both had been there until now."""
    alive = bool(tracing.running(_ledger(wire)))
    ruled = [_unrule(wire, tool) for _, tool in _spoken()]
    tracing.end(_ledger(wire))
    return alive and any(ruled)


def left(wire: dict[str, Any]) -> list[str]:
    """What is still there of it."""
    rules = [line for _, tool in _spoken() for line in _seen(tool) if wire["token"] in line]
    return rules + [tracing.PACKETS for _ in tracing.running(_ledger(wire))]


def foreign(wire: dict[str, Any]) -> str:
    """Queues of others in all the places where there could be one."""
    try:
        for _, tool in _spoken():
            for direction in wire["directions"]:
                _free(_seen(tool), direction)
    except OSError as reason:
        return str(reason)
    return ""


def _start(wire: dict[str, Any]) -> None:
    settings = [f"{key}={value}" for key, value in wire["how"]["packets"].items()]
    numbers = [str(wire[key]) for key in ("seconds", "pid")] + [str(_queue(wire))]
    command = [tracing.PACKETS, _ledger(wire), *numbers, *settings]
    leases.fork(wire["token"], lambda: tracing.become(command))
    last = time.monotonic() + _PATIENCE
    while not (said := tracing.said(_ledger(wire))).get("attached"):
        if said.get("problem") or time.monotonic() > last:
            raise OSError(said.get("problem") or f"{tracing.PACKETS} does not start")
        time.sleep(_WAIT)


def _rules(wire: dict[str, Any], family: str, tool: str) -> str:
    """What `iptables-restore` takes: a chain of its own for each direction, and the way into it."""
    saved, lines = _seen(tool), []
    for direction in wire["directions"]:
        table, hook = _free(saved, direction)
        chain, edge = f"ENVCTL-{wire['token']}-{direction}", "-i" if direction == "in" else "-o"
        target = f"-j NFQUEUE --queue-num {_queue(wire)} --queue-bypass"
        loop = "" if wire["how"].get("loopback") else "! "
        lines += [f"*{table}", f":{chain} - [0:0]"]
        if family == "v6":
            lines += [f"-A {chain} -p icmpv6 --icmpv6-type {one} -j RETURN" for one in _NEIGHBOURS]
        lines += [f"-A {chain} {match} {target}" for match in _matches(wire, family, direction)]
        lines += [f'-I {hook} 1 {loop}{edge} lo -m comment --comment "envctl:{wire["token"]}" -j {chain}', "COMMIT"]
    return "\n".join(lines) + "\n"


def _matches(wire: dict[str, Any], family: str, direction: str) -> list[str]:
    """Which packets: each address with each port, on either side, for TCP and UDP or the one that is meant."""
    addresses = (
        [""] if wire[family] is None else [f"{'-s' if direction == 'in' else '-d'} {one}" for one in wire[family]]
    )
    only = wire["how"].get("protocol")
    ends = [
        f"-p {protocol} {end} {port}"
        for port in wire["ports"]
        for protocol in ([only] if only else ["tcp", "udp"])
        for end in ("--sport", "--dport")
    ]
    return [
        f"{address} {match} {wire['how'].get('match', '')}"
        for address in addresses
        for match in ends or [f"-p {only}" if only else ""]
    ]


def _free(saved: list[str], direction: str) -> tuple[str, str]:
    """The first table in which no queue stands in this direction's way."""
    taken, table = set(), ""
    for line in saved:
        if line.startswith("*"):
            table = line[1:].strip()
        words = line.split()
        if line.startswith("-A ") and ("NFQUEUE" in words or "envctl:" in line):
            taken.add((table, words[1]))
    for slot in _SLOTS[direction]:
        if slot not in taken:
            return slot
    raise OSError(f"{len(_SLOTS[direction])} queues stand in the way of what goes {direction} already")


def _saved(tool: str) -> list[str]:
    """The rules as they are now."""
    _looked[tool] = []
    with suppress(OSError):  # no IPv6 here
        _looked[tool] = namespaces.run(f"{tool}-save").splitlines()
    return _looked[tool]


def _seen(tool: str) -> list[str]:
    """The rules as this command has just seen them, after what it did itself: to ask takes time."""
    return _looked[tool] if tool in _looked else _saved(tool)


def _unrule(wire: dict[str, Any], tool: str) -> bool:
    """Take its rules and chains away, and a table in which nothing is left; whether there were any."""
    saved, lines, table = _saved(tool), list[str](), ""
    for line in saved:
        if line.startswith("*"):
            table = line[1:].strip()
        elif wire["token"] in line and line.startswith("-A ") and not line.startswith("-A ENVCTL-"):
            chain = line.split()[-1]
            lines += [f"*{table}", "-D" + line[2:], f"-F {chain}", f"-X {chain}", "COMMIT"]
    if lines:
        namespaces.run(f"{tool}-restore", "--noflush", "--wait", text="\n".join(lines) + "\n")
        _sweep(tool)
    return bool(lines)


def _sweep(tool: str) -> None:
    """Remove the tables that iptables makes and leaves behind when they are empty again."""
    family, saved = ("ip" if tool == "iptables" else "ip6"), "\n".join(_saved(tool))
    empty = []
    for table in _TABLES:
        _, found, text = saved.partition(f"*{table}\n")
        content = [line for line in text.partition("COMMIT")[0].splitlines() if not line.startswith("#")]
        if found and all(line.startswith(":") and " ACCEPT " in line for line in content):
            empty.append(f"delete table {family} {table}")
    with suppress(OSError):  # not of the newer kind, where there is nothing to remove
        namespaces.run("nft", "-f", "-", text="\n".join(empty))


def _spoken() -> list[tuple[str, str]]:
    """The families of addresses here, each with its tool."""
    return [one for one in _FAMILIES.items() if one[0] == "v4" or namespaces.speaks_ipv6()]


def _ledger(wire: dict[str, Any]) -> str:
    return f"/run/envctl-{wire['token']}"


def _queue(wire: dict[str, Any]) -> int:
    """A number that no other fault has, but for a chance of one in 40,000."""
    return 20_000 + int(wire["token"], 16) % 40_000

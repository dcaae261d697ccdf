"""The back end `nft`: packets that are dropped, or refused, by a table of its own.

Its rules stand under a set of interfaces whose elements the kernel forgets when the fault's time is over: it ends by
itself whatever becomes of whoever made it.

`how`: the `verdict` (`drop`), a `match` in nft's words (`tcp flags syn`), the one `protocol` that is meant where it is
one, the `hooks` by direction where others are wanted, and a `priority`; `live`: only connections that are there when it
begins; `cut`: and these are reset then; `loopback`: on that interface instead of all others.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from envctl.engine.operations import connections, namespaces

_NEIGHBOURS = "icmpv6 type { 133-137 } accept;"
"""What IPv6 finds its neighbours by, as IPv4 does by ARP, which is no packet of IP: it passes."""
_HOOKS = {"in": ("input", "iifname", "saddr"), "out": ("postrouting", "oifname", "daddr")}


def begin(wire: dict[str, Any]) -> dict[str, Any]:
    """Make the table, and cut the connections that it is about where that is wanted."""
    elements = ", ".join(f'"{name}" timeout {wire["seconds"]}s' for name in _edges(wire))
    known = connections.live(wire) if wire["how"].get("live") else []
    chains = _known(known) + "\n".join(_chain(wire, direction) for direction in wire["directions"])
    table = f"table inet {_name(wire)} {{\nset lease {{ type ifname; flags timeout; elements = {{ {elements} }}; }}\n"
    namespaces.run("nft", "-f", "-", text=table + chains + "}\n")
    if not wire["how"].get("live"):
        return {}
    return {"connections": len(known), "cut": connections.cut(known) if wire["how"].get("cut") else 0}


def state(wire: dict[str, Any]) -> dict[str, Any]:
    """How many packets it has hit, by direction."""
    text = namespaces.run("nft", "-j", "list", "table", "inet", _name(wire)) if _there(wire) else '{"nftables": []}'
    hits = dict.fromkeys(wire["directions"], 0)
    for item in json.loads(text)["nftables"]:
        rule = item.get("rule", {})
        for part in rule.get("expr", []):
            if "counter" in part:
                hits[rule["chain"]] += part["counter"]["packets"]
    return {"packets": hits}


def end(wire: dict[str, Any]) -> bool:
    """Remove the table; whether it was there, and its time not over."""
    if not _there(wire):
        return False
    lasted = "expires" in namespaces.run("nft", "list", "set", "inet", _name(wire), "lease")
    with suppress(OSError):  # another one was faster; `left` sees it where it was not
        namespaces.run("nft", "delete", "table", "inet", _name(wire))
    return lasted


def left(wire: dict[str, Any]) -> list[str]:
    """The table, where it is still there."""
    return [f"table inet {_name(wire)}"] if _there(wire) else []


def foreign(wire: dict[str, Any]) -> str:
    """Nothing: a table of its own stands beside all others."""
    del wire
    return ""


def _chain(wire: dict[str, Any], direction: str) -> str:
    hook, edge, side = _HOOKS[direction]
    hook = wire["how"].get("hooks", {}).get(direction, hook)
    rules = [_NEIGHBOURS] + [
        f"{edge} @lease {match} {wire['how'].get('match', '')} counter {wire['how']['verdict']};"
        for match in _matches(wire, side)
    ]
    priority = wire["how"].get("priority", -10)
    return (
        f"chain {direction} {{ type filter hook {hook} priority {priority}; policy accept;\n"
        + "\n".join(rules)
        + "\n}\n"
    )


def _known(known: list[connections.Connection]) -> str:
    """The set of connections, by the other side's address and the two ports."""
    lines = []
    for family, wanted in (("ipv4", "."), ("ipv6", ":")):
        some = [f"{there} . {far} . {own}" for _, own, there, far in known if wanted in there]
        elements = f"elements = {{ {', '.join(some)} }};" if some else ""
        lines.append(f"set {family} {{ type {family}_addr . inet_service . inet_service; {elements} }}\n")
    return "".join(lines)


def _matches(wire: dict[str, Any], side: str) -> list[str]:
    """Which packets: those of the connections that are known, or the peers' addresses with the ports on either side."""
    if wire["how"].get("live"):
        far, own = ("sport", "dport") if side == "saddr" else ("dport", "sport")
        families = (("ip", "ipv4"), ("ip6", "ipv6"))
        return [f"{word} {side} . tcp {far} . tcp {own} @{name}" for word, name in families]
    peers = [f"{word} {side} {{ {', '.join(wire[key])} }}" for word, key in (("ip", "v4"), ("ip6", "v6")) if wire[key]]
    only, ports = wire["how"].get("protocol"), ", ".join(map(str, wire["ports"]))
    protocols = f"meta l4proto {only}" if only else "meta l4proto { tcp, udp }" if ports else ""
    ends = [f"{protocols} {only or 'th'} {end} {{ {ports} }}" for end in ("sport", "dport")] if ports else [protocols]
    return [f"{peer} {end}" for peer in ([""] if wire["v4"] is None else peers) for end in ends]


def _edges(wire: dict[str, Any]) -> list[str]:
    return ["lo"] if wire["how"].get("loopback") else namespaces.interfaces()


def _there(wire: dict[str, Any]) -> bool:
    return f"table inet {_name(wire)}\n" in namespaces.run("nft", "list", "tables")


def _name(wire: dict[str, Any]) -> str:
    return f"envctl_{wire['token']}"

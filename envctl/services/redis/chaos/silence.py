"""Keeping one client's answers from leaving the server's network namespace; everything else passes.

A rule of the packet filter, marked as the ambush's own and removed by that mark. Only segments that push data are
dropped: acknowledgements and resets pass, so that the client's connection looks alive until it is ended. A client that
sends one command at a time needs the answers before the last: for it only segments are dropped that begin with `*`, as
the answer to EXEC does, and no other of its transaction. Rules go with the namespace, and so with the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl.errors import FaultUnfit
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from envctl.services.redis.chaos.clients import Client
    from envctl.site import Site

_TOOLS = ("iptables", "ip6tables")
_ARRAYS = {
    "iptables": '-m u32 --u32 "0>>22&0x3C@12>>26&0x3C@0>>24=0x2A"',
    "ip6tables": '-m u32 --u32 "52>>26&0x3C@40>>24=0x2A"',
}
"""The first byte behind the headers of IP and TCP is `*`."""


def possible(site: Site) -> None:
    """See that rules can be had; warms up what makes them.

    Raises:
        FaultUnfit: they cannot.

    """
    done = _inside(site, "iptables -w -S OUTPUT")
    if done[0]:
        raise FaultUnfit("a rule that keeps answers back", done[1][:200], "use --at queued or --at after-exec")


def keep_back(site: Site, client: Client, mark: str) -> None:
    """From now on no answer to EXEC reaches it.

    Raises:
        NotReady: the rule could not be made.

    """
    host, _, port = client.address.rpartition(":")
    tool = _TOOLS["[" in host]
    which = "" if client.whole else _ARRAYS[tool]
    to = f"-p tcp -d {host.strip('[]')} --dport {port} --tcp-flags PSH PSH"
    rule = f"{to} {which} -m comment --comment {mark} -j DROP"
    code, said = _inside(site, f"{tool} -w -I OUTPUT {rule}")
    if code:
        raise NotReady(f"no rule against the answers to {client}: {said[:200]}")


def unacknowledged(site: Site, client: Client) -> int:
    """Bytes of answers that the client's machine has not had."""
    _, said = _inside(site, f"ss -tnH dst '{client.address}'")
    columns = said.split()
    return int(columns[2]) if len(columns) > 2 and columns[2].isdigit() else 0  # noqa: PLR2004 - the send queue


def cut(site: Site, client: Client) -> None:
    """End its connection with a reset, whatever it has not had.

    Raises:
        NotReady: this kernel ends no connections of others.

    """
    code, said = _inside(site, f"ss -KnH dst '{client.address}'")
    if code or client.address not in said:
        raise NotReady(f"the connection of {client} was not ended: {said[:200] or 'this kernel does not do it'}")


def let_go(site: Site, mark: str) -> None:
    """Remove the rules with that mark; none is fine, and so is a server that is down."""
    script = "; ".join(
        f"{tool} -w -S OUTPUT 2>/dev/null | sed -n 's/^-A\\(.*{mark}.*\\)/-D\\1/p' | xargs -r -L 1 {tool} -w"
        for tool in _TOOLS
    )
    code, said = _inside(site, script)
    if code:
        raise NotReady(f"the rules against answers are still there: {said[:200]}")


def rules(site: Site, mark: str) -> int:
    """How many rules with that mark there are."""
    _, said = _inside(site, "iptables -w -S OUTPUT; ip6tables -w -S OUTPUT 2>/dev/null")
    return sum(mark in line for line in said.splitlines())


def _inside(site: Site, script: str) -> tuple[int, str]:
    """Run a script in the server's network namespace, with the tools of the surgeon; its exit code and its words."""
    pid = site.hands.pid(site.container.id)
    done = site.hands.operate(site.environment, ["nsenter", "-t", str(pid), "-n", "sh", "-c", script])
    return done.exit_code, done.output.strip()

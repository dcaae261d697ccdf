"""Gates that stand before one run of a server, in its network namespace: how a service's faults use them."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from envctl.engine.gates import inside, program
from envctl.errors import FaultUnfit
from envctl.model import State
from envctl.protocols import Lost, NotReady

if TYPE_CHECKING:
    from envctl.site import Site

JSON = dict[str, Any]

_GRACE = 15
"""Seconds beyond the fault's own after which a gate goes by itself, when nobody is left to heal."""


_LEFT = "left of the gate"


def planned(site: Site) -> JSON:
    """A gate's name and its time, and the run of the server that it will stand before."""
    started_at = site.running().started_at
    return {
        "gate": f"envctl_{secrets.token_hex(4)}",
        "seconds": round(site.lasts) + _GRACE,
        "started_at": started_at,
    }


def server(site: Site, record: JSON) -> int:
    """The server's process, which is still the one of the record.

    Raises:
        Lost: it ended, and with its network namespace the gate.

    """
    now = site.now()
    if now.started_at != record["started_at"] or now.state not in {State.RUNNING, State.PAUSED}:
        raise Lost(f"its container is {now.state}, started {now.started_at}: the gate went with the network")
    return site.hands.pid(site.container.id)


def ask(site: Site, record: JSON, gate: str, verb: str, *arguments: object) -> JSON:
    """Run the program of that gate where the server's network is; what it says. `begin` gets the server's port and
    process, and the gate's time, before the arguments.

    Raises:
        Lost: the server ended, and with its network namespace the gate.
        NotReady: it failed; with its last line.
        FaultUnfit: there can be no such gate.

    """
    pid = server(site, record)
    if verb == "begin":
        arguments = (next(iter(site.service.ports.values())), pid, record["seconds"], *arguments)
    command = inside(pid, "python3", "-c", program(gate), verb, record["gate"], *arguments)
    done = site.hands.operate(site.environment, command)
    last = done.output.strip().rpartition("\n")[2]
    if verb == "begin" and done.exit_code and last.startswith("OSError: nft"):
        raise FaultUnfit("nftables in the engine's kernel, with redirect and reject", last, "use pause or stop")
    if done.exit_code or not done.output:
        raise NotReady(last or f"the gate ended with code {done.exit_code}")
    return dict(json.loads(last))


def end(site: Site, record: JSON) -> JSON:
    """Have the gate go, and say what is left of it; idempotent. Raises as `ask`."""
    said = site.kept[_LEFT] = ask(site, record, "redirect", "end")
    return said


def require_gone(site: Site, record: JSON) -> None:
    """See that nothing of it is left; what was seen after its end is good for once.

    Raises:
        NotReady: something is; or as `ask`.

    """
    left = site.kept.pop(_LEFT, None) or ask(site, record, "redirect", "state")
    if left["table"] or left["alive"]:
        raise NotReady(f"the gate {record['gate']} is still there: {left}")

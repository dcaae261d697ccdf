"""The back end `proxy`: the environment's relay, which needs no right of the engine, does to the connections that come
through it what others do to packets (see `engine.relay`).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from envctl.engine import relay
from envctl.model import RELAYED_LABEL, State
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from envctl.site import Site

JSON = dict[str, Any]
PROXY = "proxy"


def obstacle(site: Site, peers: Iterable[str], ports: Collection[int]) -> str:
    """Why it cannot be had; empty when it can."""
    if RELAYED_LABEL not in site.container.labels:
        return "the environment was made without --relay" if site.container.ports else "it publishes no port"
    if others := sorted({*peers} - {"host"}):
        return f"only connections by published ports come through the relay, not those of {', '.join(others)}"
    if unknown := sorted({*ports} - {*site.container.ports}):
        return f"port {', '.join(map(str, unknown))} does not come through the relay"
    return "" if relay.running(site.engine, site.environment) else "the relay does not run; `envctl up` starts it"


def plan(site: Site, ports: list[int], effects: JSON, probes: dict[str, JSON], seconds: float) -> JSON:
    """The order, how it is measured, and which run of the relay gets it."""
    told = {"token": secrets.token_hex(4), "service": site.name, "ports": ports, "seconds": seconds, **effects}
    return {"backend": PROXY, "wire": told, "relay": _run(site), "probes": probes}


def operate(site: Site, act: str, plan: JSON) -> JSON:
    """Do it, and measure; as `operations.network` tells it."""
    told = {"act": act, "order": plan["wire"], "probes": list(plan["probes"].values())}
    done = relay.order(site.hands, site.environment, told)
    return {**done, **done["said"], "left": []} if act == "end" else done


def lapsed(site: Site, plan: JSON) -> str:
    """Why it is not in force any more: the relay has forgotten it."""
    try:
        now = _run(site)
    except NotReady as reason:
        return str(reason)
    return "" if now == plan["relay"] else "the relay was started anew"


def _run(site: Site) -> str:
    """Which container it is, and which of its starts.

    Raises:
        NotReady: none runs.

    """
    found = site.engine.container(relay.name_of(site.environment))
    if found is None or found.state is not State.RUNNING:
        raise NotReady(f"the relay is {found.state if found else State.ABSENT}")
    return f"{found.id} {found.started_at}"

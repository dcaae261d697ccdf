"""What faults share that end a container: a signal takes its time, and whatever ended must run again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from envctl.model import State
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from envctl.faults.fault import JSON
    from envctl.site import Site

DEFAULT_GRACE = 10
"""The engine's own, in seconds, for a service without `stop_grace_period`."""

_SKEW = 2.0
"""Seconds by which the engine's clock and this one may differ."""


def start_of(site: Site) -> JSON:
    """Which run of the container it is, and when that was seen.

    Raises:
        NotReady: it does not run.

    """
    return {"started_at": site.running().started_at, "at": time.time()}


def grace_of(site: Site, wanted: float | Literal[""]) -> float:
    """Seconds that it has to end by itself: as wanted, else its own `stop_grace_period`."""
    if wanted != "":
        return wanted
    own = site.hands.inspect(site.container.id)["Config"].get("StopTimeout")
    return DEFAULT_GRACE if own is None else float(own)


def require_settled(site: Site, plan: JSON, patience: float) -> None:
    """See that it is not about to end: the engine goes on with a stop whose caller died, and a server takes its time.

    Raises:
        NotReady: a signal was sent to it since the plan, less than `patience` seconds ago, and it still runs.

    """
    now = site.now()
    same = now.state is State.RUNNING and now.started_at == plan["started_at"]
    if not same or time.time() - plan["at"] > patience + _SKEW:
        return
    if sent := site.hands.signals_since(site.container.id, plan["at"] - _SKEW):
        raise NotReady(f"signal {sent[-1]} was sent to it, and it has not ended yet")


def require_anew(site: Site, plan: JSON) -> JSON:
    """See that it runs, and not in the run that the plan saw.

    Raises:
        NotReady: it does not, or in the same.

    """
    now = site.running()
    if now.started_at == plan["started_at"]:
        raise NotReady("its container runs on, as before")
    return {"state": str(now.state), "started_at": now.started_at, "before": plan["started_at"]}


def require_back(site: Site) -> JSON:
    """See that it runs, on the ports that it had, and answers its own protocol; start it where it ended by now.

    Raises:
        NotReady: it does not yet.
        Lost: it is gone.

    """
    site.bring_up()
    now = site.running()
    if now.ports != site.container.ports:
        raise NotReady(f"its ports are {now.ports} instead of {site.container.ports}")
    site.ping()
    return {"state": str(now.state), "started_at": now.started_at, "ping": "answered"}

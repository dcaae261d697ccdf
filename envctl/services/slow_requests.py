"""`slow-commands` by a gate in the server's network namespace (`engine.gates.slow_requests`), for any protocol that
this can read.
"""

from __future__ import annotations

import secrets
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.engine.gates import inside, program
from envctl.errors import FaultUnfit
from envctl.model import State
from envctl.protocols import Lost, NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]

_PROGRAM, _KEPT = "slow_requests", "slow requests"
_GRACE = 15.0
"""Seconds beyond the fault's own in which healing takes the gate down before it goes by itself."""
_LONGEST, _MOST = 2.0, 20
"""A delay of so many seconds is measured, one request in so many is waited for; else it is enough that one is held."""
_ROOM = 5.0


class SlowRequests:
    """`Way`. `protocol` is the gate's; `ask` sends one request with a text in it as the tests' own identity, on a
    connection that is there already when its clock begins, and returns the seconds until its answer. It raises NotReady
    where none comes within its last argument's seconds.
    """

    words: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def __init__(self, protocol: str, port: int, ask: Callable[[Site, str, float], float]) -> None:
        self._protocol, self._port, self._ask = protocol, port, ask

    def problems(self, wanted: Mapping[str, Any]) -> Iterator[str]:
        """Delays of nothing."""
        if wanted["delay"] <= 0:
            yield f"--delay: wanted more than 0, found {wanted['delay']:g}"
        if wanted["every"] < 1:
            yield f"--every: wanted 1 or more, found {wanted['every']}"
        if "\0" in wanted["matching"]:
            yield "--matching: wanted a text without NUL"

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """One gate of the kind."""
        del wanted
        return (_PROGRAM,)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """See that the kernel has a queue."""
        del wanted
        surgeon = site.hands.surgeon_pid(site.environment)
        site.hands.pid(site.container.id)
        try:
            _run(site, surgeon, "probe", "envctl-probe")
        except NotReady as said:
            raise FaultUnfit("a queue for packets (NFQUEUE) in the engine's kernel", str(said), "use pause") from said
        return {"gate": f"envctl-slow-{secrets.token_hex(6)}", "seconds": site.lasts + _GRACE}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Put the gate up."""
        admin = site.at.admin.username if site.at.admin else ""
        server = site.hands.pid(site.container.id)
        limits = (self._port, server, seen["seconds"], wanted["delay"], wanted["every"])
        _run(site, server, "begin", seen["gate"], self._protocol, *limits, admin, wanted["matching"])

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Requests of envctl's own, as the tests' identity: one of them takes that long."""
        gate = self._state(site, seen)
        if not (gate["alive"] and gate["rules"]):
            raise NotReady(f"the gate does not stand: {gate}")
        delay, evidence = wanted["delay"], f"none within {_LONGEST:g} s"
        for _ in range(min(wanted["every"], _MOST)):
            try:
                took = self._ask(site, wanted["matching"], delay + _ROOM if delay <= _LONGEST else _LONGEST)
            except NotReady:
                break
            if took >= delay:
                evidence = f"after {took:.3f} s"
                break
        now = self._state(site, seen)
        if now["held"] == gate["held"] and (now["seen"] == gate["seen"] or wanted["every"] <= _MOST):
            raise NotReady(f"no request was held: {now}")
        return {"answer": evidence if now["held"] > gate["held"] else "its turn has not come", "held": now["held"]}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Take the gate down."""
        del wanted
        if (now := site.now()).state not in {State.RUNNING, State.PAUSED}:
            raise Lost(f"its container is {now.state}: the gate went with its network")
        site.kept[_KEPT] = _run(site, site.hands.pid(site.container.id), "end", seen["gate"])

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Nothing of the gate is left, and a request that it would have held is answered."""
        if (left := self._state(site, seen))["alive"] or left["rules"]:
            raise NotReady(f"the gate is still there: {left}")
        took = self._ask(site, wanted["matching"], _ROOM)
        counted = site.kept.get(_KEPT, {})
        return {"gate": "gone", "answer": f"after {took:.3f} s", **{k: counted[k] for k in ("seen", "held") if counted}}

    def _state(self, site: Site, seen: JSON) -> JSON:
        return _run(site, site.hands.pid(site.container.id), "state", seen["gate"])


def timed(act: Callable[[], object]) -> float:
    """Seconds that it took."""
    start = time.monotonic()
    act()
    return time.monotonic() - start


def _run(site: Site, pid: int, *arguments: object) -> JSON:
    """Run the gate's program in the network namespace of that process; what it says. Raises as `Hands.ask`."""
    return dict(site.hands.ask(site.environment, inside(pid, "python3", "-c", program(_PROGRAM), *arguments)))

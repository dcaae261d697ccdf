"""What the faults of the network share: whose packets they touch, by which back end, and how that is measured.

They act in the network namespace of the service's container, through the surgeon, and only on what comes from or goes
to other machines and containers: loopback, and so Docker's DNS, health checks and `docker exec`, is left alone.
"""

from __future__ import annotations

import secrets
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from envctl.engine.addresses import HOST, Addresses, addresses
from envctl.errors import FaultUnfit
from envctl.faults.fault import JSON, Abode, Fault, parameter
from envctl.faults.values import ports, words
from envctl.model import State
from envctl.protocols import Lost, NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.protocols import Service
    from envctl.site import Site

_GRACE = 15
"""Seconds after the fault's time in which it is healed from here, before it ends by itself."""

DIRECTIONS: Mapping[str, str] = {
    "in": "what comes to the service",
    "out": "what it sends",
    "both": "what comes and what it sends",
}


@dataclass(frozen=True)
class NetworkFault(Fault):
    """One thing that can happen to the packets of a service's container."""

    lives_in: ClassVar[Abode] = Abode.PROCESS
    bites_within: ClassVar[float] = 15.0
    heals_within: ClassVar[float] = 30.0
    backends: ClassVar[Mapping[str, str]]
    """What can do it, each with what it is; the first that this engine's kernel has is taken."""

    peer: str = parameter(
        "", "With whom: `host`, or services, separated by commas; everybody without it.", metavar="NAMES", also="--from"
    )
    port: str = parameter("", "Only packets with such a port on either side, separated by commas.", metavar="PORTS")
    direction: str = parameter("both", "Which way.", choices=DIRECTIONS)
    backend: str = parameter("", "What does it; without it the first that this kernel has.", metavar="NAME")

    @abstractmethod
    def how(self, backend: str, site: Site) -> JSON:
        """What the back end needs to know (see `engine.operations`): for `nfqueue` its `packets`, for `nft` its
        `verdict`, for `tc` its shapers. Chance comes from `site.dice`.
        """

    @abstractmethod
    def judge(self, way: str, before: JSON, after: JSON) -> None:
        """Whether what was measured in one direction, in a probe's words (see `engine.operations.probing`), shows it.

        Raises:
            NotReady: it does not; with the difference.

        """

    def sample(self) -> JSON:
        """How it is measured: `count` datagrams, one `every` so many seconds, of `size` bytes; `wait` seconds for the
        last one.
        """
        return {"count": 5, "every": 0.002, "size": 64, "wait": 0.1}

    @classmethod
    def unfit(cls, service: Service) -> str:
        """Every container has a network, but for those that `obstacle` knows."""
        del service
        return ""

    @classmethod
    def words(cls, service: Service) -> Mapping[str, Mapping[str, str]]:
        """The back ends."""
        del service
        return {"backend": cls.backends}

    def problems(self, service: Service) -> Iterable[str]:
        """A back end that is none, ports that are none, and the service as its own peer."""
        if self.backend and self.backend not in self.backends:
            yield f"--backend: wanted one of {', '.join(self.backends)}, found {self.backend!r}"
        if wanted := ports(self.port)[1]:
            yield f"--port: wanted {wanted}, found {self.port!r}"
        if service.name in words(self.peer):
            yield f"--peer: wanted another service than {service.name} itself, which talks to itself by loopback"

    def problems_at(self, site: Site) -> Iterable[str]:
        """Peers that are not there, with what is."""
        known = {HOST, *(one.service for one in site.engine.containers(site.environment))} - {site.name}
        for name in words(self.peer):
            if name not in known and name != site.name:
                yield f"--peer: wanted one of {', '.join(sorted(known))}, found {name!r}"

    def obstacle(self, site: Site) -> str:
        """What this kernel lacks."""
        mode = str(site.hands.inspect(site.container.id)["HostConfig"].get("NetworkMode"))
        if mode in {"host", "none"} or mode.startswith("container:"):
            return f"its container has no network of its own (network_mode: {mode})"
        return "" if self.chosen(site) else self._missing(site)

    def chosen(self, site: Site) -> str:
        """The back end that is taken here; empty when none can be had."""
        able = site.hands.abilities(site.environment)
        wanted = [self.backend] if self.backend else list(self.backends)
        return next((name for name in wanted if all(able[need][0] for need in NEEDS[name])), "")

    def _missing(self, site: Site) -> str:
        able = site.hands.abilities(site.environment)
        wanted = [self.backend] if self.backend else list(self.backends)
        lacks = [f"{name} ({need}: {able[need][1]})" for name in wanted for need in NEEDS[name] if not able[need][0]]
        return f"this engine's kernel or rights lack what it takes: {'; '.join(lacks)}; `envctl doctor` tries them all"

    def claims(self, site: Site) -> Sequence[str]:
        """Nothing: several go together."""
        del site
        return ()

    @property
    def silences(self) -> bool:
        """Most let something through."""
        return False

    def plan(self, site: Site) -> JSON:
        """Whose packets, between which addresses, and how they are measured."""
        site.running()
        inspected = site.hands.inspect(site.container.id)
        own = addresses(inspected)
        peers = [self._peer(site, name) for name in words(self.peer)]
        backend = self.chosen(site)
        wire: JSON = {
            "token": secrets.token_hex(4),
            "pid": own.pid,
            "seconds": round(site.lasts) + _GRACE,
            "directions": ["in", "out"] if self.direction == "both" else [self.direction],
            "ports": ports(self.port)[0],
            "v4": [address for one in peers for address in one.v4] if peers else None,
            "v6": [address for one in peers for address in one.v6] if peers else None,
            "how": self.how(backend, site),
        }
        other = peers[0] if peers else own.host
        if not other.pid:
            other = replace(other, pid=site.hands.witness(site.environment))
        surgeon = site.hands.pid(site.hands.surgeon(site.environment))
        if backend in _SHARED:
            self._require_room(site, backend, wire)
        return {"backend": backend, "wire": wire, "surgeon": surgeon, "probes": self.probes(wire, own, other)}

    def _require_room(self, site: Site, backend: str, wire: JSON) -> None:
        if found := site.hands.operation(site.environment, "network.foreign", backend=backend, wire=wire):
            raise FaultUnfit(f"{self.name} on {site.name}", found, "remove it, or heal what put it there")

    def probes(self, wire: JSON, own: Addresses, other: Addresses) -> list[JSON]:
        """One for each direction, between the service and a peer."""
        port = wire["ports"][0] if wire["ports"] else None
        toward = {"in": (other, own, "to"), "out": (own, other, "from")}
        found = []
        for way in wire["directions"]:
            source, sink, side = toward[way]
            ends = {"from": source.pid, "to": sink.pid, "address": sink.reached_from(source)}
            found.append({**ends, "port": port, "side": side, **self.sample()})
        return found

    def apply(self, site: Site, plan: JSON) -> None:
        """Begin, and measure in the same breath."""
        site.kept["measured"] = self._operate(site, "begin", plan)

    def bites(self, site: Site, plan: JSON) -> JSON:
        """What was measured in each direction, before and since."""
        measured = site.kept.pop("measured", None)
        if measured is not None:
            site.kept["before"] = measured["before"]
        else:
            measured = self._operate(site, "measure", plan)
        before = site.kept["before"]
        for way, earlier, later in zip(plan["wire"]["directions"], before, measured["after"], strict=True):
            if "problem" not in earlier:
                self.judge(way, earlier, later)
        shown = {
            way: {"before": earlier, "during": later}
            for way, earlier, later in zip(plan["wire"]["directions"], before, measured["after"], strict=True)
        }
        return {"backend": plan["backend"], "measured": shown, "said": measured["said"]}

    def undo(self, site: Site, plan: JSON) -> None:
        """End it.

        Raises:
            Lost: it had ended before, without anybody's wish.

        """
        if (now := site.now()).state not in {State.RUNNING, State.PAUSED}:
            raise Lost(f"its container is {now.state}: its network is gone, and the fault with it")
        done = self._operate(site, "end", plan)
        site.kept["ended"] = done
        surgeon = site.hands.pid(site.hands.surgeon(site.environment))
        if (done["begun"] and not done["lasted"]) or (plan["backend"] in _HELD and surgeon != plan["surgeon"]):
            raise Lost("what held it in force had ended before its time, and its effect with it")

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """Nothing of it is left, and what is measured now."""
        done = site.kept.pop("ended", None) or self._operate(site, "end", plan)
        if done["left"]:
            raise NotReady(f"still there: {', '.join(done['left'])}")
        return {"left": [], "measured": dict(zip(plan["wire"]["directions"], done["after"], strict=True))}

    def lapsed(self, site: Site, plan: JSON) -> str:
        """The surgeon holds some back ends: with it they go."""
        if plan["backend"] in _HELD and site.hands.pid(site.hands.surgeon(site.environment)) != plan["surgeon"]:
            return "the container that held it in force is gone"
        return ""

    def _operate(self, site: Site, act: str, plan: JSON) -> JSON:
        told = {"backend": plan["backend"], "wire": plan["wire"], "probes": plan["probes"]}
        return dict(site.hands.operation(site.environment, f"network.{act}", **told))

    def _peer(self, site: Site, name: str) -> Addresses:
        own = addresses(site.hands.inspect(site.container.id))
        if name == HOST:
            return own.host
        found = next(one for one in site.engine.containers(site.environment) if one.service == name)
        return addresses(site.hands.inspect(found.id))


NEEDS: Mapping[str, tuple[str, ...]] = {
    "nfqueue": ("nfqueue", "iptables"),
    "nft": ("nft",),
    "tc": ("tbf", "htb", "u32", "ifb"),
}
_HELD = ("nfqueue",)
_SHARED = ("tc",)

"""What faults of the network share: they act in the network namespace of the service's container, through the surgeon,
by one of several back ends, and are measured there.
"""

from __future__ import annotations

import secrets
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from envctl.engine.addresses import Addresses, addresses
from envctl.errors import FaultUnfit
from envctl.faults.fault import JSON, Abode, Fault, parameter
from envctl.faults.network import relayed
from envctl.faults.network.relayed import PROXY
from envctl.model import State
from envctl.protocols import Lost, NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.protocols import Service
    from envctl.site import Site

NEEDS: Mapping[str, tuple[str, ...]] = {
    "nfqueue": ("nfqueue", "iptables"),
    "nft": ("nft",),
    "tc": ("tbf", "htb", "u32", "ifb"),
    "netem": ("netem", "htb", "u32", "ifb"),
    "ss": ("ss-kill",),
    "proxy": (),
}
"""What each back end needs of the kernel, by the names of `envctl doctor`."""

LIMITS: Mapping[str, str] = {
    "nfqueue": "exact to a millisecond on an idle machine",
    "nft": "from the first packet on",
    "tc": "within a tenth of the rate",
    "ss": "at once",
    "proxy": "within a millisecond or two, a tenth of the rate; for what comes by published ports",
}
"""What each was measured to be good for (bench/, docs/performance.md)."""

_GRACE = 15
"""Seconds after the fault's time in which it is healed from here, before it ends by itself."""

_HELD = ("nfqueue",)
"""Back ends that are a program in the surgeon."""

SHARED = ("tc", "netem")
"""Back ends with but one place, which may be somebody else's."""


@dataclass(frozen=True)
class InNamespace(Fault):
    """One thing that can happen in the network of a service's container."""

    lives_in: ClassVar[Abode] = Abode.PROCESS
    bites_within: ClassVar[float] = 15.0
    heals_within: ClassVar[float] = 30.0
    backends: ClassVar[Mapping[str, str]]
    """What can do it, each with what it is; the first that this engine's kernel has is taken."""

    backend: str = parameter("", "What does it; without it the first that this kernel has.", metavar="NAME")

    @abstractmethod
    def selection(self, site: Site, own: Addresses) -> tuple[JSON, Addresses]:
        """Whose packets (`directions`, `ports`, `v4`, `v6`: see `engine.operations.network`), and the other end by
        which that is measured.

        Raises:
            NotReady: a peer does not run.

        """

    @abstractmethod
    def how(self, backend: str, site: Site) -> JSON:
        """What the back end needs to know (see `engine.operations`): for `nfqueue` its `packets`, for `nft` its
        `verdict`, for `tc` its shapers. Chance comes from `site.dice`.
        """

    @abstractmethod
    def probes(self, site: Site, wire: JSON, own: Addresses, other: Addresses) -> dict[str, JSON]:
        """How it is measured, each by its name (see `engine.operations.probing` and `knocking`)."""

    @abstractmethod
    def judge(self, what: str, before: JSON, after: JSON) -> None:
        """Whether what was measured under that name shows it.

        Raises:
            NotReady: it does not; with the difference.

        """

    @property
    def ports_by_relay(self) -> list[int]:
        """Those that are meant, none for all; where the back end `proxy` is one of its."""
        return []

    def beside_relay(self, site: Site) -> str:
        """Why the relay cannot do it; empty when it can."""
        del site
        return "the relay cannot do that"

    def probes_by_relay(self) -> dict[str, JSON]:
        """How it is measured there, each by its name (see `gates.relay_orders`)."""
        return {}

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
        """A back end that is none."""
        del service
        if self.backend and self.backend not in self.backends:
            yield f"--backend: wanted one of {', '.join(self.backends)}, found {self.backend!r}"

    def obstacle(self, site: Site) -> str:
        """What this kernel lacks."""
        mode = str(site.hands.inspect(site.container.id)["HostConfig"].get("NetworkMode"))
        if mode in {"host", "none"} or mode.startswith("container:"):
            return f"its container has no network of its own (network_mode: {mode})"
        return "" if self.chosen(site) else self._missing(site)

    @property
    def wanted_backends(self) -> list[str]:
        """Those that may be taken, the best first."""
        return [self.backend] if self.backend else list(self.backends)

    def chosen(self, site: Site) -> str:
        """The back end that is taken here; empty when none can be had."""
        return next((name for name in self.wanted_backends if not self._lacks(site, name)), "")

    def by(self, site: Site) -> str:
        """The back end, and what was measured of it."""
        name = self.chosen(site)
        return f"{name}: {self.backends[name]}; {LIMITS[name]}"

    def _missing(self, site: Site) -> str:
        found = [(name, lack) for name in self.wanted_backends for lack in self._lacks(site, name)]
        lacks = [f"{name} ({lack})" for name, lack in found]
        return f"this engine's kernel or rights lack what it takes: {'; '.join(lacks)}; `envctl doctor` tries them all"

    def _lacks(self, site: Site, backend: str) -> list[str]:
        """What is not there of what the back end needs.

        Raises:
            FaultUnfit: the engine gives no surgeon, and there can be no other way.

        """
        if backend == PROXY:
            return list(filter(None, [self.beside_relay(site)]))
        try:
            able = site.kept.get("abilities") or site.hands.abilities(site.environment)
        except (FaultUnfit, NotReady) as refused:
            # The relay needs none of that; and who has no relay should hear of it, too.
            if PROXY not in self.wanted_backends or (isinstance(refused, NotReady) and self.beside_relay(site)):
                raise
            return [refused.found if isinstance(refused, FaultUnfit) else str(refused)]
        site.kept["abilities"] = able
        return [f"{need}: {able[need][1]}" for need in NEEDS[backend] if not able[need][0]]

    def claims(self, site: Site) -> Sequence[str]:
        """Nothing: several go together."""
        del site
        return ()

    def plan(self, site: Site) -> JSON:
        """Whose packets, between which addresses, and how they are measured."""
        site.running()
        backend, seconds = self.chosen(site), round(site.lasts) + _GRACE
        if backend == PROXY:
            effects, probes = self.how(PROXY, site), self.probes_by_relay()
            return relayed.plan(site, self.ports_by_relay, effects, probes, seconds)
        own = addresses(site.hands.inspect(site.container.id))
        selected, other = self.selection(site, own)
        if not other.pid:
            other = replace(other, pid=site.hands.witness(site.environment))
        wire: JSON = {"token": secrets.token_hex(4), "pid": own.pid, "seconds": seconds}
        wire |= {**selected, "how": self.how(backend, site)}
        surgeon, probes = self._surgeon(site), self.probes(site, wire, own, other)
        return {"backend": backend, "wire": wire, "surgeon": surgeon, "probes": probes}

    def apply(self, site: Site, plan: JSON) -> None:
        """Begin, and measure in the same breath.

        Raises:
            FaultUnfit: what somebody else has put there leaves no room; nothing was touched.

        """
        measured = self._operate(site, "begin", plan)
        if found := measured.get("foreign"):
            raise FaultUnfit(f"{self.name} on {site.name}", found, "remove it, or heal what put it there")
        site.kept["measured"] = measured

    def bites(self, site: Site, plan: JSON) -> JSON:
        """What was measured, before and since."""
        if measured := site.kept.pop("measured", None):
            site.kept["before"] = measured["before"]
        else:
            measured = self._operate(site, "measure", plan)
        shown = {}
        probes = plan["probes"].items()
        for (what, probe), before, after in zip(probes, site.kept["before"], measured["after"], strict=True):
            shown[what] = {"before": before, "during": after}
            if _tells(probe, before):
                self.judge(what, before, after)
        return {"backend": plan["backend"], "measured": shown, **measured["said"]}

    def undo(self, site: Site, plan: JSON) -> None:
        """End it.

        Raises:
            Lost: it had ended before, without anybody's wish.

        """
        if reason := relayed.lapsed(site, plan) if plan["backend"] == PROXY else _without_network(site):
            raise Lost(reason)
        done = self._operate(site, "end", plan)
        site.kept["ended"] = done
        if (done["begun"] and not done["lasted"]) or self.lapsed(site, plan):
            raise Lost("it had ended by itself already: what held it in force is gone")

    def recovered(self, site: Site, plan: JSON) -> JSON:
        """Nothing of it is left, and what is measured now."""
        done = site.kept.pop("ended", None) or self._operate(site, "end", plan)
        if done["left"]:
            raise NotReady(f"still there: {', '.join(done['left'])}")
        return {"left": [], "measured": dict(zip(plan["probes"], done["after"], strict=True))}

    def lapsed(self, site: Site, plan: JSON) -> str:
        """The relay holds one back end, the surgeon some: with these they go, and all others with their network."""
        if plan["backend"] == PROXY:
            return relayed.lapsed(site, plan)
        if reason := _without_network(site):
            return reason
        if plan["backend"] in _HELD and self._surgeon(site) != plan["surgeon"]:
            return "the container that held it in force is gone"
        return ""

    def abode(self, plan: JSON) -> Abode:
        """What the relay does outlives the service, and must be ended there."""
        return Abode.DATA if plan.get("backend") == PROXY else self.lives_in

    def _surgeon(self, site: Site) -> int:
        return site.hands.surgeon_pid(site.environment)

    def _operate(self, site: Site, act: str, plan: JSON) -> JSON:
        if plan["backend"] == PROXY:
            return relayed.operate(site, act, plan)
        told = {"backend": plan["backend"], "wire": plan["wire"], "probes": list(plan["probes"].values())}
        return dict(site.hands.operation(site.environment, f"network.{act}", **told))


def _tells(probe: JSON, before: JSON) -> bool:
    """Whether anything can be seen by it: where it could be measured; by IPv6 only where it came through before, since
    not everything that has such an address is served, or let through, there.
    """
    passed = before.get("received") or before.get("new") in {"connected", "closed"}
    return "problem" not in before and bool(passed or ":" not in probe.get("address", ""))


def _without_network(site: Site) -> str:
    """Why there is no network in which it could be; empty where there is one."""
    state = site.now().state
    there = state in {State.RUNNING, State.PAUSED}
    return "" if there else f"its container is {state}: its network is gone, and the fault with it"

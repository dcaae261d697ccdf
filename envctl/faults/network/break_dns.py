"""Have a service find nobody by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.fault import JSON, parameter
from envctl.faults.network.namespace import InNamespace
from envctl.faults.values import duration
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.engine.addresses import Addresses
    from envctl.protocols import Service
    from envctl.site import Site

_RESOLVER = "127.0.0.11"
"""Docker's own, in every container of a user's network."""
_LONGEST = 30.0
_FIRST = -310
"""Before Docker leads the question to the port at which its resolver really listens (dstnat, -100)."""


@dataclass(frozen=True)
class BreakDns(InNamespace):
    """Break the names by which a service finds others: Kafka its ZooKeeper, Spark its MinIO.

    `--mode fail`: each question is refused at once ("temporary failure in name resolution"). `--mode time-out`: it is
    never answered (a resolver gives up after 5 s and more). `--mode delay`: it is answered `delay` later. Connections
    that are there go on; a JVM keeps names that it knows for half a minute, and failures for 10 s.
    """

    name: ClassVar[str] = "break-dns"
    summary: ClassVar[str] = "Have it find others by name late, or not at all."
    backends: ClassVar[Mapping[str, str]] = {
        "nft": "the kernel refuses or drops questions, and forgets to when its time is over",
        "nfqueue": "a program in the service's network holds questions back",
    }

    mode: str = parameter("fail", "How.", choices={"fail": "refused", "time-out": "never answered", "delay": "late"})
    delay: float = parameter(2.0, "How much later, with mode delay.", kind=duration, metavar="TIME")

    def problems(self, service: Service) -> Iterable[str]:
        """A delay that is none, and a back end that cannot do it."""
        yield from super().problems(service)
        if not 0 < self.delay <= _LONGEST:
            yield f"--delay: wanted more than 0 and at most {_LONGEST:g}s, found {self.delay:g} s"
        if self.backend in self.backends and self.backend != self._fitting:
            yield f"--backend: wanted {self._fitting} for --mode {self.mode}, found {self.backend!r}"

    @property
    def _fitting(self) -> str:
        return "nfqueue" if self.mode == "delay" else "nft"

    @property
    def wanted_backends(self) -> list[str]:
        """Each mode has one."""
        return [self._fitting]

    def selection(self, site: Site, own: Addresses) -> tuple[JSON, Addresses]:
        """What goes to the resolver, or comes from it, on loopback."""
        del site
        way = "in" if self.mode == "time-out" else "out"
        return {"directions": [way], "ports": [], "v4": [_RESOLVER], "v6": []}, own

    def how(self, backend: str, site: Site) -> JSON:
        """Questions, before Docker leads them on."""
        del site
        if backend == "nfqueue":
            packets = {"delay": round(self.delay * 1e6)}
            return {"packets": packets, "loopback": True, "protocol": "udp", "match": "--dport 53"}
        if self.mode == "time-out":
            # The answers: who asks would be told (EPERM) that a question was dropped.
            return {"loopback": True, "match": "meta l4proto { tcp, udp } th sport 53", "verdict": "drop"}
        match = "meta l4proto { tcp, udp } th dport 53"
        return {"loopback": True, "match": match, "verdict": "reject", "hooks": {"out": "output"}, "priority": _FIRST}

    def probes(self, site: Site, wire: JSON, own: Addresses, other: Addresses) -> dict[str, JSON]:
        """A question of its own: the service's name."""
        del wire, other
        wait = 0.2 + (self.delay if self.mode == "delay" else 0)
        return {"name": {"kind": "name", "from": own.pid, "name": site.name, "wait": wait}}

    def judge(self, what: str, before: JSON, after: JSON) -> None:
        """The question is refused, not answered, or answered late."""
        if before["new"] != "answered":
            return
        wanted = {"fail": "refused", "time-out": "nothing", "delay": "answered"}[self.mode]
        late = after["ms"] >= self.delay * 1000 or self.mode != "delay"
        if after["new"] != wanted or not late:
            raise NotReady(f"a {what} was {after['new']} after {after['ms']:g} ms")

"""Have connections lead nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.fault import JSON, parameter
from envctl.faults.network.refuse import NEW
from envctl.faults.network.tcp import ConnectionFault, require_open
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.site import Site


@dataclass(frozen=True)
class BlackHole(ConnectionFault):
    """Have the packets of connections vanish, as behind a firewall that drops: nobody is refused, everybody waits.

    `--connections new` takes only first packets: who is connected goes on, who wants to connect runs into a time limit.
    Clients on the host reach a container through Docker's own proxy, which accepts before it asks the container: they
    are connected, and hear nothing.
    """

    name: ClassVar[str] = "black-hole"
    summary: ClassVar[str] = "Have the packets of connections vanish: clients hang."
    backends: ClassVar[Mapping[str, str]] = {
        "nft": "the kernel drops them, and forgets to when its time is over",
        "proxy": "the environment's relay (`up --relay`), for what comes by published ports",
    }

    connections: str = parameter(
        "all", "Which.", choices={"all": "live and new ones", "new": "new ones; live ones go on"}
    )

    @property
    def silences(self) -> bool:
        """Whoever looks at it opens a connection."""
        return self.direction == "in" and self.peer in {"", "host"}

    def how(self, backend: str, site: Site) -> JSON:
        """What comes is dropped."""
        del site
        if backend == "proxy":
            return {"black-hole": {"connections": self.connections}}
        return {"protocol": "tcp", "match": NEW if self.connections == "new" else "", "verdict": "drop"}

    def judge(self, what: str, before: JSON, after: JSON) -> None:
        """A new one does not come about."""
        require_open(what, before)
        if after["new"] != "nothing":
            raise NotReady(f"a new {what}: {after['new']}")
        if after.get("live", "open") != "open":
            raise NotReady(f"a live {what} was {after['live']}")

"""Have new connections refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.network.tcp import ConnectionFault, require_open
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.faults.fault import JSON
    from envctl.site import Site

NEW = "tcp flags & (fin | syn | rst | ack) == syn"
"""A connection's first packet."""
_UNTRACKED = -250
"""After the queues of what comes in, in the table `raw` (-300), and before connections are tracked (-200)."""


@dataclass(frozen=True)
class Refuse(ConnectionFault):
    """Answer every new connection with a reset, as a port does at which nobody listens; live connections go on.

    The other way round, live ones ended and new ones accepted, is `cut`. Clients on the host reach a container through
    Docker's own proxy, which accepts before it asks the container: they see a connection that is closed at once.
    """

    name: ClassVar[str] = "refuse"
    summary: ClassVar[str] = "Have new connections refused, while live ones go on."
    backends: ClassVar[Mapping[str, str]] = {
        "nft": "the kernel answers, and forgets to when its time is over",
        "proxy": "the environment's relay (`up --relay`), for what comes by published ports",
    }

    @property
    def silences(self) -> bool:
        """Whoever looks at it opens a connection."""
        return self.direction == "in" and self.peer in {"", "host"}

    def how(self, backend: str, site: Site) -> JSON:
        """A reset for a first packet, before the kernel begins to track the connection: a queue (`latency`) would have
        to hold a reset that shares what is not confirmed yet, and such packets are dropped.
        """
        del site
        if backend == "proxy":
            return {"refuse": {}}
        hooks = {"in": "prerouting", "out": "output"}
        told = {"match": NEW, "verdict": "reject with tcp reset", "hooks": hooks, "priority": _UNTRACKED}
        return {"protocol": "tcp", **told}

    def judge(self, what: str, before: JSON, after: JSON) -> None:
        """A new one is refused, the live one is open."""
        require_open(what, before)
        if after["new"] != "refused":
            raise NotReady(f"a new {what}: {after['new']}")
        if after.get("live", "open") != "open":
            raise NotReady(f"a live {what} was {after['live']}")

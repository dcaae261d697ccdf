"""Reset live connections, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from envctl.faults.fault import JSON, parameter
from envctl.faults.network.tcp import WAYS, ConnectionFault, require_open
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.site import Site


@dataclass(frozen=True)
class Cut(ConnectionFault):
    """Reset every connection that is there, once and at both ends; new ones are accepted. It is over at once.

    Clients get `connection reset`, the server sees its clients vanish and does what it does then: transactions are
    rolled back, group members leave. By `--backend nft` a connection is reset when it next says something; then it
    lasts for its time.
    """

    name: ClassVar[str] = "cut"
    summary: ClassVar[str] = "Reset its live connections, once; new ones are accepted."
    backends: ClassVar[Mapping[str, str]] = {
        "ss": "the kernel aborts the sockets (INET_DIAG_DESTROY)",
        "nft": "the kernel answers what they say next with a reset",
        "proxy": "the environment's relay (`up --relay`), for what comes by published ports",
    }

    direction: str = parameter("both", "Which connections.", choices={**WAYS, "both": "all of them"})

    @property
    def momentary(self) -> bool:
        """Those that are there, once."""
        return self.backend != "nft"

    def how(self, backend: str, site: Site) -> JSON:
        """For `nft`, a reset to both sides of each that is there now."""
        del site
        if backend in {"ss", "proxy"}:
            return {} if backend == "ss" else {"cut": {}}
        # The resets themselves go out by the same hooks.
        told = {"match": "tcp flags & rst == 0", "verdict": "reject with tcp reset", "hooks": {"out": "output"}}
        return {"live": True, "protocol": "tcp", **told}

    def judge(self, what: str, before: JSON, after: JSON) -> None:
        """The live one is reset, a new one is accepted."""
        require_open(what, before)
        if self.momentary and after.get("live", "reset") != "reset":
            raise NotReady(f"a live {what} is {after['live']}")
        if after["new"] != "connected":
            raise NotReady(f"a new {what}: {after['new']}")

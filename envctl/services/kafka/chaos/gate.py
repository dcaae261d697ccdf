"""The gate in the broker's network namespace, in which requests of transactional producers are held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envctl.engine.gates import inside, program
from envctl.errors import FaultUnfit
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from envctl.engine.conversation import Conversation
    from envctl.site import Site

PROGRAM = "kafka_hold"
_END_TXN = 26
_PATIENCE = 10.0
_GRACE = 60
"""Seconds beyond the fault's own in which healing takes the gate down before it goes by itself."""


@dataclass(frozen=True, slots=True)
class Held:
    """A request that the broker has not got: a write, or the wish to commit."""

    key: Any
    client: str
    transaction: str
    commits: bool

    def __str__(self) -> str:
        return f"{self.client or 'a client'} at {self.key[0][0]}:{self.key[0][1]}"


class Gate:
    """The gate as who put it up holds it; it opens by itself when this process ends.

    Every method raises `NotReady` where it is gone: with the server, or because its time was over.
    """

    def __init__(self, site: Site, name: str, *, writes: bool, application: str) -> None:
        seconds = site.lasts + _GRACE
        command = ["python3", "-uc", program(PROGRAM), "watch", name, seconds, int(writes), application]
        pid = site.hands.pid(site.container.id)
        self._talk: Conversation = site.hands.converse(site.environment, inside(pid, *command))
        if self._talk.hear(_PATIENCE) is None:
            raise NotReady("the gate does not stand yet")

    def next(self, timeout: float) -> Held | None:
        """The next request that is held; None when none came in time."""
        said = self._talk.hear(timeout)
        if said is None or said["event"] != "held":
            return None
        return Held(said["key"], said["client"], said["transaction"], said["kind"] == _END_TXN)

    def let_go(self, held: Held, *, answer: bool = True) -> None:
        """Let a request go on to the broker, and keep the answer from its client where that is not wanted."""
        self._talk.say({"do": "pass" if answer else "pass without answer", "key": held.key})

    def close(self) -> None:
        """Take it down; what is held goes on."""
        self._talk.close()


def require(site: Site) -> None:
    """See that a gate can be had.

    Raises:
        FaultUnfit: not of this engine.

    """
    pid = site.hands.surgeon_pid(site.environment)
    command = inside(pid, "python3", "-c", program(PROGRAM), "probe", "envctl-probe")
    done = site.hands.operate(site.environment, command)
    if done.exit_code:
        said = done.output.strip().rpartition("\n")[2]
        raise FaultUnfit("a queue for packets (NFQUEUE) in the engine's kernel", said, "use kill, or pause")


def rules(site: Site, name: str, *, remove: bool) -> int:
    """How many rules with that name there are in the broker's network namespace, after their removal where wanted."""
    command = inside(site.hands.pid(site.container.id), "python3", "-c", program(PROGRAM), "end" if remove else "state")
    found = site.hands.operate(site.environment, [*command, name])
    if found.exit_code:
        raise NotReady(found.output.strip().rpartition("\n")[2] or "the rules cannot be listed")
    return int(found.output.partition(":")[2].strip(" }\n"))

"""Leave a service hardly any memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from envctl.errors import FaultUnfit
from envctl.faults.fault import JSON, parameter
from envctl.faults.limits import Limiting, look, new_token
from envctl.faults.values import read, size
from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from envctl.protocols import Service
    from envctl.site import Site

MIB = 1 << 20
_SLACK = 32 * MIB
"""How much more than was left may be had before that counts as no pressure: the service gives some back meanwhile."""


def leave(value: Any) -> int:  # noqa: ANN401 - what a caller gave
    """A size of at least 1 MiB."""
    number, wanted = read(size, value)
    if wanted or number < MIB:
        raise ValueError("a size of at least 1MiB, such as 16MiB")
    return int(number)


@dataclass(frozen=True)
class MemoryPressure(Limiting):
    """Lower the memory limit of the service to what it uses now and `leave` more; nothing is killed for it.

    The cache of its files goes at once, so reads come from the disk. What asks for more than is left waits or is
    refused: with version 1 of control groups a process that touches new memory stands still, and calls that need the
    kernel's (a fork, a socket's buffer) fail with ENOMEM, until it is healed; with version 2 they are slowed down
    (`memory.high`). So a live client's small requests are answered, large ones hang, and new connections may do
    either. For what happens when the kernel kills, use `oom-kill`.

    The limits are written into the group itself and the recorded numbers come back; by themselves 10 s after its time.
    """

    name: ClassVar[str] = "memory-pressure"
    summary: ClassVar[str] = "Leave it hardly any memory; nothing is killed for it."
    silences: ClassVar[bool] = True
    controller: ClassVar[str] = "memory"

    leave: int = parameter(16 * MIB, "How much more than it uses now it may have.", kind=leave, metavar="SIZE")

    def problems(self, service: Service) -> Iterable[str]:
        """Too little to stand on."""
        del service
        if wanted := read(leave, self.leave)[1]:
            yield f"--leave: wanted {wanted}, found {self.leave!r}"

    def claims(self, site: Site) -> Sequence[str]:
        """The memory limit."""
        del site
        return ("memory limit",)

    def plan(self, site: Site) -> JSON:
        """Its group, its limits, and what it uses."""
        site.running()
        seen = look(site, "memory.look")
        limit, now = seen["used"] + self.leave, allowed(seen["limits"])
        if now is not None and now <= limit:
            raise FaultUnfit(
                f"less memory for {site.name} than it has",
                f"it has {max(0, now - seen['used']) // MIB} MiB left of its limit, of {now // MIB} MiB",
                "ask for a smaller --leave",
            )
        old = seen["group"]["version"] == 1
        # First that nothing is killed, then the limit.
        wanted = (
            {"memory.oom_control": "1", "memory.limit_in_bytes": _pages(limit)}
            if old
            else {"memory.high": _pages(limit)}
        )
        return {**seen, "wanted": wanted, "token": new_token()}

    def bites(self, site: Site, plan: JSON) -> JSON:
        """How much memory could be had under its limit before it was refused."""
        asked: JSON = {"group": plan["group"], "most": self.leave + _SLACK, "seconds": 5.0}
        found: JSON = site.hands.operation(site.environment, "memory.press", **asked)
        if not found["refused"]:
            raise NotReady(f"{found['bytes'] // MIB} MiB could be had")
        return {"limit": plan["wanted"], "left": found["bytes"], "refused": found["refused"]}


def allowed(limits: dict[str, str]) -> int | None:
    """The lowest limit in bytes; None without one."""
    found = [limits.get(file, "max") for file in ("memory.limit_in_bytes", "memory.max", "memory.high")]
    numbers = [int(value) for value in found if value != "max"]
    return min(numbers, default=None)


def _pages(number: int) -> str:
    return str(number - number % 4096)

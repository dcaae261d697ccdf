"""Taking the server's heap: in local mode the one executor is the server itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.errors import FaultUnfit
from envctl.model import State
from envctl.protocols import NotReady
from envctl.services.spark_connect.chaos.force import Force
from envctl.services.spark_connect.rpc import ask_version
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.capabilities import JSON, Way
    from envctl.site import Site

MIB = 1 << 20
_LEAST = 8 * MIB
"""Less than that and the server cannot take the request that would end it."""

_OUT_OF_MEMORY = 52
"""With what Spark ends a process whose task ran out of memory."""


class Heap(Force):
    """A thread in the server holds all of the heap but so much."""

    command = "heap"

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """Too little to stand on."""
        if wanted["leave"] < _LEAST:
            yield f"--leave: wanted {_LEAST // MIB}MiB or more, found {wanted['leave'] / MIB:g}MiB"

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """How much it has."""
        seen = super().look(site, wanted)
        if (free := self.state(site, seen)["free"]) <= wanted["leave"]:
            raise FaultUnfit(
                f"less heap for {site.name} than it has",
                f"{free // MIB} MiB of it are left",
                "ask for a smaller --leave",
            )
        return {**seen, "lease": f"/tmp/.{seen['token']}"}  # noqa: S108 - the server's own

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Take it."""
        pid = site.hands.pid(site.container.id)
        site.hands.operation(site.environment, "java.place", pid=pid, path=seen["lease"])
        self.begin(site, seen, lease=seen["lease"], leave=wanted["leave"])

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """How much was taken, and what a small call gets now; a server that ended of it has had its out of memory."""
        del wanted
        if (now := site.now()).state is State.EXITED:
            return {"the server": f"ended with exit code {now.exit_code}"}
        state = self.state(site, seen)
        told = {"heap": state["heap"], "taken": state["hurt"], "left": state["free"]}
        if not state["probed"]:
            raise NotReady(f"it still has room: {told}")
        try:
            ask_version(site.at, app_of(site.at), 5.0)
        except NotReady as said:
            return {**told, "a small call": str(said)}
        return {**told, "a small call": "answered"}

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Let go of it, by way of a file: the server may have no memory for a request. Start it where it ended."""
        del wanted
        self._revive(site)
        pid = site.hands.pid(site.container.id)
        site.hands.operation(site.environment, "java.lengthen", pid=pid, path=seen["lease"])

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """It has its heap, or was started anew with all of it: it may still end while it is healed."""
        self._revive(site)
        if ended := site.kept.get("ended"):
            site.running()
            site.ping()
            return {"the server": f"ended {ended}, and was started anew", "its sessions": "gone"}
        return super().check_mended(site, wanted, seen)

    def _revive(self, site: Site) -> None:
        if (now := site.now()).state in {State.RUNNING, State.PAUSED}:
            return
        why = " (out of memory)" if now.exit_code == _OUT_OF_MEMORY else ""
        site.kept["ended"] = f"with exit code {now.exit_code}{why}"
        site.bring_up()


if TYPE_CHECKING:
    _way: Way = Heap()

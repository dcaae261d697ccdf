"""Interrupting what clients run, from inside the server."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.spark_connect.chaos.force import Force, audience
from envctl.services.spark_connect.chaos.witness import Witness
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.capabilities import JSON, Way
    from envctl.site import Site

_SLOW = "SELECT reflect('java.lang.Thread', 'sleep', 5000L) FROM range(1)"
"""What envctl's own session runs, to be interrupted: five seconds of nothing."""

_SAID = MappingProxyType({"operation": "[OPERATION_CANCELED]", "job": "[SPARK_JOB_CANCELLED]"})


class Interrupting(Force):
    """A thread in the server looks every 10 ms for operations, and interrupts each that has run long enough."""

    command = "interrupt"
    counts = "operations interrupted"
    words: Mapping[str, Mapping[str, str]] = MappingProxyType(
        {
            "how": MappingProxyType(
                {
                    "operation": "as `session.interruptAll()` does: OPERATION_CANCELED",
                    "job": "as the button in Spark's web interface does: SPARK_JOB_CANCELLED",
                }
            )
        }
    )

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """A tag that none can be, too."""
        yield from super().problems(wanted)
        if "," in wanted["tag"]:
            yield f"--tag: wanted a tag without a comma, found {wanted['tag']!r}"

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Begin to interrupt."""
        words = {"how": _how(wanted), "tag": wanted["tag"], "count": wanted["count"] or 0}
        self.begin(site, seen, **audience(wanted), **words, after_ms=round(wanted["after"] * 1000))

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """An operation of envctl's own is interrupted, at once."""
        with Witness(site.at, app_of(site.at), seen["probe"]) as probe:
            try:
                probe.run(_SLOW)
            except NotReady as said:
                if _SAID[_how(wanted)] not in str(said):
                    raise
                return {"an operation": str(said), "interrupted": self.state(site, seen)["hurt"]}
        raise NotReady("an operation was not interrupted")


def _how(wanted: Mapping[str, Any]) -> str:
    return wanted["how"] or next(iter(_SAID))


if TYPE_CHECKING:
    _way: Way = Interrupting()

"""Failing the tasks of Spark's jobs, in their own threads."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.spark_connect.chaos.force import Force, audience
from envctl.services.spark_connect.chaos.witness import Witness
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.capabilities import JSON, Way
    from envctl.site import Site

_SMALL = "SELECT count(*) FROM range(1)"
_FAILED = "Job aborted due to stage failure"


class Tasks(Force):
    """Spark tells its executor's plugins of each task, in the task's own thread: ours throws."""

    command = "tasks"
    counts = "attempts hurt"
    words: Mapping[str, Mapping[str, str]] = MappingProxyType(
        {
            "how": MappingProxyType(
                {
                    "error": "it throws before its first row",
                    "late": "it throws after its last row: its work was done, and is lost",
                    "kill": "it is killed before its first row, which counts as no failure: Spark tries it again",
                }
            )
        }
    )

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Begin to fail."""
        numbers = {"every": wanted["every"], "attempts": wanted["attempts"], "count": wanted["count"] or 0}
        self.begin(site, seen, **audience(wanted), **numbers, how=self._how(wanted))

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """A task of envctl's own fails with its job, or is tried again."""
        del wanted
        told = "succeeded, tried again"
        with Witness(site.at, app_of(site.at), seen["probe"]) as probe:
            try:
                probe.run(_SMALL)
            except NotReady as said:
                if _FAILED not in str(said):
                    raise
                told = str(said)
        state = self.state(site, seen)
        if not state["probed"]:
            raise NotReady(f"no task was hurt: {state}")
        return {"a job": told, "tasks": state["hurt"]}

    def _how(self, wanted: Mapping[str, Any]) -> str:
        return wanted["how"] or next(iter(self.words["how"]))


if TYPE_CHECKING:
    _way: Way = Tasks()

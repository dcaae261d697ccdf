"""Calls of Spark Connect that fail, by the gate that also refuses its token."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services import gated
from envctl.services.spark_connect.chaos.credentials import GATE, require_same
from envctl.services.spark_connect.chaos.witness import Witness
from envctl.services.spark_connect.rpc import ask_version
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from envctl.capabilities import JSON, Way
    from envctl.site import Site

_TRY = 5.0
_STATUS = MappingProxyType({"unavailable": 14, "resource-exhausted": 8, "deadline-exceeded": 4})
"""By gRPC's numbers."""
_WORDS = "the server is overloaded (envctl)"
_ALL: Mapping[str, object] = MappingProxyType(
    {"every": 1, "method": "", "bucket": "", "key": "", "after": "", "rate": "", "delay": ""}
)
"""What the other parameters are where nobody has given them."""


class SparkRequests:
    """`fail-requests`. Every call is refused, from wherever it comes; the server and its sessions stay as they are."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType(
        {
            "how": MappingProxyType(
                {
                    "unavailable": "UNAVAILABLE, which Spark's client tries again",
                    "resource-exhausted": "RESOURCE_EXHAUSTED, which it does not",
                    "deadline-exceeded": "DEADLINE_EXCEEDED, which it does not",
                }
            )
        }
    )

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """What chooses among calls: a client packs each one's headers by those before it, so none can be taken out."""
        for name, default in _ALL.items():
            if wanted[name] != default:
                yield f"--{name}: wanted without, since all calls of spark-connect fail alike, found {wanted[name]!r}"

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """The one place before the server, which is also where a token is refused."""
        del wanted
        return ("requests", "identity app")

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """The run of the server, and a session that must outlive the fault."""
        del wanted
        witness = Witness(site.at, app_of(site.at))
        site.kept["witness"] = witness
        return {**gated.planned(site), "server_side_session": witness.ask(), "session": witness.session}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Put the gate up, and cut the connections that were there before it."""
        said = gated.ask(site, seen, GATE, "begin", _STATUS[self._how(wanted)], _WORDS)
        site.kept["cut"] = said["cut"]

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """A new session, and the live one on its own connection, are refused."""
        how = self._how(wanted)
        evidence: JSON = {"gate": seen["gate"], "connections cut": site.kept.get("cut")}
        evidence["new session"] = _refused(lambda: ask_version(site.at, app_of(site.at), _TRY), how)
        if isinstance(witness := site.kept.get("witness"), Witness):
            evidence["live session"] = _refused(witness.ask, how)
        return evidence

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Take the gate down."""
        del wanted
        gated.end(site, seen)

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Calls are answered again, in the very session of before; nothing of the gate is left."""
        del wanted
        gated.require_gone(site, seen)
        site.ping()
        require_same(site, seen["session"], seen["server_side_session"])
        return {"calls": "answered", "session": "the same", "gate": "gone"}

    def _how(self, wanted: Mapping[str, Any]) -> str:
        return str(wanted["how"] or next(iter(self.words["how"])))


def _refused(act: Callable[[], object], how: str) -> str:
    """The words with which it was refused.

    Raises:
        NotReady: it was not, or failed for another reason.

    """
    try:
        act()
    except NotReady as said:
        if _WORDS in str(said) and str(said).startswith(how.upper().replace("-", "_")):
            return str(said)
        raise
    raise NotReady("a call is still answered")


if TYPE_CHECKING:
    _way: Way = SparkRequests()

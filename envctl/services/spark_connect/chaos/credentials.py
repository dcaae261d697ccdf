"""Revoking the one token that a server knows from its start to its end: it goes on, and a gate before it refuses."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from envctl.errors import FaultUnfit
from envctl.protocols import NotReady
from envctl.services import gated
from envctl.services.spark_connect.chaos.witness import Witness
from envctl.services.spark_connect.rpc import ask_version
from envctl.services.wire import app_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from envctl.capabilities import JSON, HasCredentials
    from envctl.site import Site

_REFUSED = "authentication refused"
_UNAUTHENTICATED = 16
_WORDS = "Invalid authentication token"
"""What Spark 4.1 itself says to a wrong token, status and words."""

GATE = "grpc_refusal"
"""The program that refuses."""

_TRY = 5.0


class SparkCredentials:
    """The one token, refused to live and to new clients by a gate in the server's network namespace.

    Every call is answered UNAUTHENTICATED, in Spark's own words, whichever token it has, wherever it comes from: the
    host, other containers, envctl's own ping; only loopback in the container is free. Live connections are cut first,
    so a query that runs loses its client, which a server that had really forgotten the token would still serve. The
    server, its sessions and their temporary views stay as they are.
    """

    revocations: Mapping[str, str] = MappingProxyType(
        {"token": "every call is refused as UNAUTHENTICATED; sessions and their temporary views stay in the server"}
    )

    def identity(self, site: Site, user: str, mode: str) -> JSON:
        """The run of the server that knows the token, and a session that must outlive the fault."""
        del mode
        app = app_of(site.at)
        if user != app.username:
            raise FaultUnfit(
                f"the rights of {user!r} on {site.name}",
                "Spark Connect knows one token and nobody's name: a user is what a client calls itself",
                f"leave --user out: whoever has the token is {app.username!r}",
            )
        record = gated.planned(site)
        witness = Witness(site.at, app)
        server_side = witness.ask()
        site.kept["witness"] = witness
        return {**record, "session": witness.session, "server_side_session": server_side}

    def revoke(self, site: Site, user: str, mode: str, record: JSON) -> None:
        """Put the gate up, and cut the connections that were there before it."""
        del user, mode
        site.kept["cut"] = gated.ask(site, record, GATE, "begin", _UNAUTHENTICATED, _WORDS)["cut"]

    def check_revoked(self, site: Site, user: str, mode: str, record: JSON) -> JSON:
        """A new session, and the live one on its own connection, are refused."""
        del user, mode
        seen: JSON = {"gate": record["gate"], "connections cut": site.kept.get("cut")}
        seen["new session"] = _refusal(lambda: ask_version(site.at, app_of(site.at), _TRY), "a new session")
        if isinstance(witness := site.kept.get("witness"), Witness):
            seen["live session"] = _refusal(witness.ask, "a live session")
        return seen

    def restore(self, site: Site, user: str, mode: str, record: JSON) -> None:
        """Take the gate down."""
        del user, mode
        gated.end(site, record)

    def check_restored(self, site: Site, user: str, mode: str, record: JSON) -> JSON:
        """The token works again, in the very session of before; nothing of the gate is left."""
        del user, mode
        gated.require_gone(site, record)
        ask_version(site.at, app_of(site.at), _TRY)
        require_same(site, record["session"], record["server_side_session"])
        return {"token": "accepted", "session": "the same", "gate": "gone"}


def _refusal(act: Callable[[], object], what: str) -> str:
    """The words with which it was refused.

    Raises:
        NotReady: it was not, or failed for another reason.

    """
    try:
        act()
    except NotReady as said:
        if str(said).startswith(_REFUSED):
            return str(said)
        raise
    raise NotReady(f"{what} still works")


def require_same(site: Site, session: str, server_side: str) -> None:
    """See that the session is the one that it was, and end it.

    Raises:
        NotReady: it is not, or the server does not say.

    """
    witness = site.kept.get("witness")
    if not isinstance(witness, Witness):
        witness = site.kept["witness"] = Witness(site.at, app_of(site.at), session)
    if (found := witness.ask()) != server_side:
        raise NotReady(f"the session from before is gone: wanted {server_side}, found {found}")
    witness.release()


if TYPE_CHECKING:
    _credentials: HasCredentials = SparkCredentials()

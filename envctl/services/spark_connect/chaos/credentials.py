"""Revoking the one token that a server knows from its start to its end: it goes on, and a gate before it refuses."""

from __future__ import annotations

import json
import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.engine.gates import inside, program
from envctl.errors import FaultUnfit
from envctl.model import State
from envctl.protocols import Lost, NotReady
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

_GRACE = 15
"""Seconds beyond the fault's own after which the gate opens by itself, when nobody is left to heal."""

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
        started_at = site.running().started_at
        witness = Witness(site.at, app)
        server_side = witness.ask()
        site.kept["witness"] = witness
        return {
            "gate": f"envctl_{secrets.token_hex(4)}",
            "seconds": round(site.lasts) + _GRACE,
            "started_at": started_at,
            "session": witness.session,
            "server_side_session": server_side,
        }

    def revoke(self, site: Site, user: str, mode: str, record: JSON) -> None:
        """Put the gate up, and cut the connections that were there before it."""
        del user, mode
        pid = self._server(site, record)
        port = next(iter(site.service.ports.values()))
        limits = (port, pid, record["seconds"])
        said = self._gate(site, pid, "begin", record["gate"], *limits, _UNAUTHENTICATED, _WORDS)
        site.kept["cut"] = said["cut"]

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
        self._gate(site, self._server(site, record), "end", record["gate"])

    def check_restored(self, site: Site, user: str, mode: str, record: JSON) -> JSON:
        """The token works again, in the very session of before; nothing of the gate is left."""
        del user, mode
        left = self._gate(site, self._server(site, record), "state", record["gate"])
        if left["table"] or left["alive"]:
            raise NotReady(f"the gate {record['gate']} is still there: {left}")
        ask_version(site.at, app_of(site.at), _TRY)
        witness = site.kept.get("witness")
        if not isinstance(witness, Witness):
            witness = Witness(site.at, app_of(site.at), record["session"])
            site.kept["witness"] = witness
        if (found := witness.ask()) != record["server_side_session"]:
            raise NotReady(f"the session from before is gone: wanted {record['server_side_session']}, found {found}")
        witness.release()
        return {"token": "accepted", "session": "the same", "gate": "gone"}

    def _server(self, site: Site, record: JSON) -> int:
        """The server's process, which is still the one of the record.

        Raises:
            Lost: it ended, and with its network namespace the gate.

        """
        now = site.now()
        if now.started_at != record["started_at"] or now.state not in {State.RUNNING, State.PAUSED}:
            raise Lost(f"its container is {now.state}, started {now.started_at}: the gate went with the network")
        return site.hands.pid(site.container.id)

    def _gate(self, site: Site, pid: int, *arguments: object) -> dict[str, Any]:
        """Run the gate's program where the server's network is; what it says.

        Raises:
            NotReady: it failed; with its last line.

        """
        done = site.hands.operate(site.environment, inside(pid, "python3", "-c", program("grpc_refusal"), *arguments))
        if done.exit_code:
            raise NotReady(done.output.strip().rpartition("\n")[2] or f"the gate ended with code {done.exit_code}")
        return dict(json.loads(done.output.rpartition("\n")[2]))


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


if TYPE_CHECKING:
    _credentials: HasCredentials = SparkCredentials()

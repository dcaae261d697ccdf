"""A Redis that says it is loading its data, as after a restart: a gate in its network namespace says it in its place.

A server that really loads would have to be restarted, slowly, from a data set that is large enough; its time could not
be chosen, and it could not be ended before it is over. Data, process and connections in the container are untouched.
"""

from __future__ import annotations

import json
import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envctl.protocols import Lost, NotReady
from envctl.services.redis.chaos.conversation import Conversation, text
from envctl.services.redis.chaos.probes import close_live, identity, live, open_live, refused
from envctl.services.redis.chaos.programs import begin, end, state
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]

_GATE, _SUBCOMMANDS = "redis_loading", 9
_GRACE = 15.0


class Loading:
    """`Way`."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """There is nothing to choose."""
        del wanted
        return ()

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """The way to the server's port."""
        del wanted
        return ("port",)

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """The run of the server before which the gate will stand."""
        del wanted
        started_at = site.running().started_at
        return {"gate": f"envctl_{secrets.token_hex(4)}", "seconds": site.lasts + _GRACE, "started_at": started_at}

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Put the gate up, and cut the connections that are there, as a restart does."""
        del wanted
        open_live(site)
        with Conversation(site.at, admin_of(site.at)) as server:
            names = _refused(server.ask("COMMAND"))
        begin(site, _GATE, seen["gate"], seen["seconds"], json.dumps(names))

    def check_hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """What a connection of before and a new one are told, and that the server says it loads."""
        del wanted
        if not state(site, _GATE, seen["gate"], within=True)["alive"]:
            raise NotReady("the gate is not there")
        found = {"live": _closed(one)} if (one := live(site)) is not None else {}
        with Conversation(site.at, identity(site)) as new:
            found["new"] = refused(lambda: new.ask("PING"), "LOADING")
            if "loading:1" not in text(new.ask("INFO", "persistence")).split():
                raise NotReady("INFO says loading:0")
        close_live(site)
        return found

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Take the gate down."""
        del wanted
        close_live(site)
        _require_same(site, seen)
        end(site, _GATE, seen["gate"], within=True)

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """Nothing of the gate is left, and the server answers."""
        del wanted
        _require_same(site, seen)
        left = state(site, _GATE, seen["gate"], within=True)
        if left["table"] or left["alive"]:
            raise NotReady(f"the gate {seen['gate']} is still there: {left}")
        with Conversation(site.at, identity(site)) as new:
            return {"gate": "gone", "ping": text(new.ask("PING"))}


def _require_same(site: Site, seen: JSON) -> None:
    """See that the gate can still be there.

    Raises:
        Lost: the server ended, and with its network namespace the gate.

    """
    if (now := site.now()).started_at != seen["started_at"]:
        raise Lost(f"its container was started anew, {now.started_at}: the gate went with the network")


def _refused(commands: Sequence[Any]) -> list[str]:
    """The commands that the server itself would not run while it loads, as `COMMAND` tells them."""
    found = []
    for command in commands:
        subcommands = command[_SUBCOMMANDS] if len(command) > _SUBCOMMANDS else []
        found += _refused(subcommands)
        if not subcommands and "loading" not in map(text, command[2]):
            found.append(text(command[0]))
    return found


def _closed(one: Conversation) -> str:
    """How the connection of before ended."""
    try:
        one.ask("PING")
    except NotReady as reason:
        if "no answer" not in str(reason):
            return str(reason)
    raise NotReady("a connection of before is still served")

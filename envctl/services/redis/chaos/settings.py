"""Settings of a running Redis: recorded, changed for a time, and put back exactly.

They live in the process. What somebody else has set meanwhile is theirs and is left; a restart has brought back those
of the command line by itself, and lost what was set by hand, with the fault or without it. Both are told.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from envctl.protocols import NotReady
from envctl.services.redis.chaos.conversation import Conversation, text
from envctl.services.redis.chaos.probes import close_live, open_live
from envctl.services.wire import admin_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.site import Site

JSON = dict[str, Any]


class SettingsWay:
    """What a `Way` that only changes settings shares; it says which, and to what."""

    words: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    names: ClassVar[tuple[str, ...]]

    def problems(self, wanted: Mapping[str, Any]) -> Iterable[str]:
        """None, unless it says so."""
        del wanted
        return ()

    def claims(self, wanted: Mapping[str, Any]) -> Sequence[str]:
        """Its settings, each by its name."""
        del wanted
        return [f"setting {name}" for name in self.names]

    def during(self, server: Conversation, wanted: Mapping[str, Any], before: Mapping[str, str]) -> dict[str, str]:
        """What is set, where it is another than before; in the very words in which `CONFIG GET` says it."""
        raise NotImplementedError

    def look(self, site: Site, wanted: Mapping[str, Any]) -> JSON:
        """The settings as they are."""
        from envctl.services.redis.chaos.aftermath import run_of

        with Conversation(site.at, admin_of(site.at)) as server:
            before = current(server, self.names)
            return {
                "run": run_of(server),
                "before": before,
                "during": {**before, **self.during(server, wanted, before)},
            }

    def hurt(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Set them."""
        del wanted
        open_live(site)
        with Conversation(site.at, admin_of(site.at)) as server:
            change(server, seen["during"])

    def mend(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> None:
        """Put them back."""
        del wanted
        close_live(site)
        with Conversation(site.at, admin_of(site.at)) as server:
            put_back(server, seen)

    def check_mended(self, site: Site, wanted: Mapping[str, Any], seen: JSON) -> JSON:
        """They are as before, or as somebody else has set them."""
        del wanted
        with Conversation(site.at, admin_of(site.at)) as server:
            return compared(server, seen)


def current(server: Conversation, names: Iterable[str]) -> dict[str, str]:
    """Settings as they are now; those that this version does not know are left out."""
    found = ((name, server.ask("CONFIG", "GET", name)) for name in names)
    return {name: text(pair[1]) for name, pair in found if pair}


def change(server: Conversation, values: Mapping[str, str]) -> None:
    """Set all or none."""
    server.ask("CONFIG", "SET", *(word for pair in values.items() for word in pair))


def put_back(server: Conversation, seen: JSON) -> None:
    """Give those that are as the fault set them the values that they had; idempotent."""
    now = current(server, seen["before"])
    if ours := _ours(now, seen):
        change(server, {name: seen["before"][name] for name in ours})


def compared(server: Conversation, seen: JSON) -> JSON:
    """What to tell of them afterwards.

    Raises:
        NotReady: some are still as the fault set them.

    """
    from envctl.services.redis.chaos.aftermath import run_of

    now = current(server, seen["before"])
    if ours := _ours(now, seen):
        raise NotReady(f"{ours[0]} is still {now[ours[0]]!r}")
    others = {name: value for name, value in now.items() if value != seen["before"][name]}
    again = {"restarted": "Redis was started anew meanwhile"} if run_of(server) != seen["run"] else {}
    if others:
        return {"settings": "not what they were: somebody else's, and left", "now": others, **again}
    return {"settings": "equal", **again}


def _ours(now: Mapping[str, str], seen: JSON) -> list[str]:
    before, during = seen["before"], seen["during"]
    return [name for name, value in now.items() if value == during[name] != before[name]]

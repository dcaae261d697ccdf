"""What an ordinary client of Redis is told: on a connection that was there before a fault, and on a new one."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.redis.chaos.conversation import Conversation, Refusal
from envctl.services.wire import admin_of, app_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envctl.model import Identity
    from envctl.site import Site

_LIVE = "live connection"


def identity(site: Site) -> Identity:
    """The tests' own; envctl's where that is locked out by another fault."""
    return admin_of(site.at) if site.locked_out else app_of(site.at)


def open_live(site: Site) -> None:
    """Have a connection that is there before the fault. Whoever has seen what becomes of it closes it: another process
    may heal.
    """
    close_live(site)
    site.kept[_LIVE] = Conversation(site.at, identity(site))


def live(site: Site) -> Conversation | None:
    """That connection, where this process has it."""
    return site.kept.get(_LIVE)


def close_live(site: Site) -> None:
    """Hang it up; idempotent."""
    if (one := site.kept.pop(_LIVE, None)) is not None:
        one.close()


def harmless_write() -> Sequence[str]:
    """A command that the server judges as a write, and that writes nothing when it is let through."""
    return "SET", f"envctl:probe:{secrets.token_hex(8)}", "", "XX", "PX", "1"


def refusals(site: Site, command: Sequence[str], word: str) -> dict[str, Any]:
    """The words with which a command is refused, on the open connection and on a new one.

    Raises:
        NotReady: it is not, or in other words.

    """
    found = {}
    if (one := live(site)) is not None:
        found["live"] = refused(lambda: one.ask(*command), word)
    with Conversation(site.at, identity(site)) as new:
        found["new"] = refused(lambda: new.ask(*command), word)
    close_live(site)
    return found


def refused(act: Callable[[], object], word: str) -> str:
    """The refusal, in which that word must stand.

    Raises:
        NotReady: there is none, or another.

    """
    try:
        act()
    except Refusal as refusal:
        if word in str(refusal):
            return str(refusal)
        raise
    raise NotReady("what should be refused is not")


def accepted(site: Site, word: str) -> str:
    """See that a write is let through, or refused for a reason of its own: other faults may be in force.

    Raises:
        NotReady: it is refused with that word.

    """
    with Conversation(site.at, identity(site)) as app:
        (reply,) = app.ask_all([harmless_write()])
    if not isinstance(reply, Refusal):
        return "accepted"
    if word in str(reply):
        raise reply
    return f"refused for another reason: {reply}"

"""Watching one transaction being executed: what it did, command by command, as the server says it (`MONITOR`)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from envctl.protocols import NotReady
from envctl.services.redis.chaos.clients import by_id, held, listed, release
from envctl.services.redis.chaos.conversation import Conversation, Refusal, text
from envctl.services.wire import admin_of
from envctl.waiting import Deadline

if TYPE_CHECKING:
    import threading

    from envctl.services.redis.chaos.clients import Client
    from envctl.site import Site

Command = list[bytes]

_LINE = re.compile(r"\d+\.\d+ \[(\d+) ([^\]]*(?:\][^\]]*)?)\] (.*)", re.DOTALL)
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b"}
_LONGEST = 3.0
"""Seconds until a victim whose EXEC was there must have executed it."""

_PATIENCE = 0.1
"""Seconds without a word of the server after which it is asked whether the client is still in its transaction."""


def watched(
    site: Site, server: Conversation, victim: Client, stop: threading.Event
) -> tuple[int, list[Command]] | None:
    """Open the gate, let the victim execute its transaction, and close the gate again: its database and commands.

    None when it did not: it gave up, went away, or `stop` was set.
    """
    with Conversation(site.at, admin_of(site.at), _PATIENCE) as monitor:
        monitor.ask("MONITOR")
        release(server)
        commands: list[Command] = []
        silent, end = Deadline(_PATIENCE), Deadline(_LONGEST)
        while not stop.is_set() and not end.passed:
            try:
                monitor.renew()
                said = parsed(text(monitor.reply()))
            except Refusal:
                raise
            except NotReady as reason:
                if "no answer" not in str(reason):
                    raise
                said = None
            if said is not None and said[1] == victim.address:
                database, _, command = said
                if command[0].upper() == b"EXEC":
                    held(server)
                    return database, commands
                commands = [] if command[0].upper() == b"MULTI" else [*commands, command]
            if said is None or silent.passed:
                now = by_id(listed(server), victim)
                if now is None or (now.queued < 0 and said is None):
                    return None
                silent = Deadline(_PATIENCE)
    return None


def parsed(line: str) -> tuple[int, str, Command] | None:
    """Database, address and words of one line of MONITOR; None where it is another."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    words = [_unescaped(word) for word in _WORD.findall(found[3])]
    return (int(found[1]), found[2], words) if words else None


def _unescaped(word: str) -> bytes:
    def one(found: re.Match[str]) -> str:
        escape = found[1]
        return chr(int(escape[1:], 16)) if len(escape) > 1 else _PLAIN.get(escape, escape)

    return _ESCAPE.sub(one, word).encode("latin-1", errors="surrogateescape")

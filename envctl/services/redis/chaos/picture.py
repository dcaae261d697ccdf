"""What keys hold, as digests: to see after a crash what of it is there."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from envctl.services.redis.chaos.conversation import Refusal, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from envctl.services.redis.chaos.conversation import Conversation

LIMIT = 10_000
"""Keys that are compared at most: 0.3 s of reading. Where there are more, a pattern must say which."""

ABSENT = "absent"
"""In the place of a digest."""

_READS = {
    "string": ["GET", "{}"],
    "list": ["LRANGE", "{}", "0", "-1"],
    "set": ["SMEMBERS", "{}"],
    "hash": ["HGETALL", "{}"],
    "zset": ["ZRANGE", "{}", "0", "-1", "WITHSCORES"],
    "stream": ["XRANGE", "{}", "-", "+"],
}

Key = tuple[int, bytes]
Picture = dict[Key, str]


def of_all(server: Conversation, pattern: str) -> Picture | None:
    """Every key that matches, in all databases, but those that will expire; None where there are more than `LIMIT`."""
    keys = all_keys(server, pattern or "*", LIMIT)
    return None if keys is None else of(server, lasting(server, keys))


def all_keys(server: Conversation, pattern: str, most: int) -> list[Key] | None:
    """Every key that matches, in all databases; None where there are more than `most`."""
    keys: list[Key] = []
    for database in _databases(server):
        cursor = "0"
        server.ask("SELECT", str(database))
        while True:
            cursor, found = server.ask("SCAN", cursor, "MATCH", pattern, "COUNT", "1000")
            keys += [(database, key) for key in found]
            if len(keys) > most:
                return None
            if text(cursor) == "0":
                break
    return keys


def of(server: Conversation, keys: Iterable[Key]) -> Picture:
    """These keys, whether they are there or not."""
    found: Picture = {}
    ordered = sorted(set(keys))
    for database in sorted({database for database, _ in ordered}):
        server.ask("SELECT", str(database))
        here = [key for number, key in ordered if number == database]
        kinds = [text(kind) for kind in server.ask_all([["TYPE", key] for key in here])]
        reads = [_read(kind, key) for kind, key in zip(kinds, here, strict=True)]
        for key, kind, value in zip(here, kinds, server.ask_all(reads), strict=True):
            found[database, key] = ABSENT if kind == "none" else _digest(kind, value)
    return found


def differing(before: Picture, after: Picture) -> list[Key]:
    """Keys whose content is another, or that are there in only one of both."""
    return sorted(key for key in before | after if before.get(key, ABSENT) != after.get(key, ABSENT))


def keys_of(server: Conversation, database: int, commands: Sequence[Sequence[bytes]]) -> list[Key]:
    """The keys that commands name, as the server itself reads them."""
    replies = server.ask_all([["COMMAND", "GETKEYS", *command] for command in commands])
    return sorted({(database, key) for reply in replies if not isinstance(reply, Refusal) for key in reply})


def lasting(server: Conversation, keys: Sequence[Key]) -> list[Key]:
    """Those without an end of their own: what has one may be gone later for no other reason. Absent ones are kept."""
    found: list[Key] = []
    for database in dict.fromkeys(database for database, _ in keys):
        server.ask("SELECT", str(database))
        here = [key for number, key in keys if number == database]
        ends = server.ask_all([["PTTL", key] for key in here])
        found += [(database, key) for key, end in zip(here, ends, strict=True) if end < 0]
    return found


def names(keys: Iterable[Key]) -> list[str]:
    """Keys for people: `db0 orders:1`."""
    return [f"db{database} {key.decode(errors='backslashreplace')}" for database, key in keys]


def _databases(server: Conversation) -> list[int]:
    """Those that hold keys."""
    lines = text(server.ask("INFO", "keyspace")).splitlines()
    return [int(line[2 : line.index(":")]) for line in lines if line.startswith("db")]


def _read(kind: str, key: bytes) -> list[str | bytes]:
    """The command that reads a key of that kind; of a module's kind its serialized form."""
    return [key if part == "{}" else part for part in _READS.get(kind, ("DUMP", "{}"))]


def _digest(kind: str, value: Any) -> str:  # noqa: ANN401 - a reply
    """The same for the same content, in whatever order the server keeps it."""
    if kind == "set":
        value = sorted(value)
    if kind == "hash":
        value = sorted(zip(value[::2], value[1::2], strict=True))
    return hashlib.sha256(f"{kind} {value!r}".encode()).hexdigest()

"""Keys of Redis with all that they hold, in a file beside the journal: what is evicted is nowhere else."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from envctl.protocols import NotReady
from envctl.services.redis.chaos.conversation import Refusal, text
from envctl.state import StateFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from envctl.services.redis.chaos.conversation import Conversation
    from envctl.services.redis.chaos.picture import Key

JSON = dict[str, Any]

_AT_ONCE = 500
_FOR_EVER = -1

Kept = tuple[int, bytes, int, bytes]
"""Database, key, Unix time in ms at which its time is over (-1: never), and its content as `DUMP` gives it."""


class Stash:
    """A file of one environment, 0600, fsynced; gone with the environment's state."""

    def __init__(self, environment: str, name: str) -> None:
        self._folder, self._name = StateFolder(environment), f"{name}.json"

    def save(self, keys: Sequence[Kept], **facts: object) -> None:
        """On return it is on the disk."""
        lines = [[number, _word(key), end, _word(content)] for number, key, end, content in keys]
        self._folder.write(self._name, json.dumps({**facts, "keys": lines}))

    def facts(self) -> JSON:
        """What was saved beside the keys; nothing where there is no file."""
        return {name: value for name, value in self._read().items() if name != "keys"}

    def keys(self) -> list[Kept]:
        """The keys; none where there is no file."""
        lines = self._read().get("keys", [])
        return [(number, _bytes(key), end, _bytes(content)) for number, key, end, content in lines]

    def remove(self) -> None:
        """Forget it; idempotent."""
        (self._folder.path / self._name).unlink(missing_ok=True)

    def _read(self) -> JSON:
        try:
            return dict(json.loads((self._folder.path / self._name).read_bytes()))
        except FileNotFoundError:
            return {}


def recorded(server: Conversation, keys: Sequence[Key], most: int) -> Iterator[Kept]:
    """What these keys hold.

    Raises:
        NotReady: that is more than `most` bytes.

    """
    size = 0
    for number, some in _parts(keys):
        server.ask("SELECT", str(number))
        ends = server.ask_all([["PEXPIRETIME", key] for key in some])
        contents = server.ask_all([["DUMP", key] for key in some])
        for key, end, content in zip(some, ends, contents, strict=True):
            if isinstance(content, bytes):
                size += len(content)
                yield number, key, end, content
        if size > most:
            raise NotReady(f"the keys hold more than {most} bytes")


def missing(server: Conversation, keys: Sequence[Kept]) -> list[Kept]:
    """Those that are not there, though their time is not over."""
    found = []
    at_once = {(number, key): one for one in keys for number, key in [one[:2]]}
    now = _now(server)
    for number, some in _parts(list(at_once)):
        server.ask("SELECT", str(number))
        there = server.ask_all([["EXISTS", key] for key in some])
        gone = (at_once[number, key] for key, exists in zip(some, there, strict=True) if not exists)
        found += [one for one in gone if one[2] == _FOR_EVER or one[2] > now]
    return found


def brought_back(server: Conversation, keys: Sequence[Kept]) -> JSON:
    """Restore keys, but for those that are there; what became of them.

    Raises:
        NotReady: the server refuses it.

    """
    counted = {"brought back": 0, "written anew": 0, "time over": 0}
    now = _now(server)
    for number, key, end, content in keys:
        if _FOR_EVER != end <= now:
            counted["time over"] += 1
            continue
        server.ask("SELECT", str(number))
        (said,) = server.ask_all([["RESTORE", key, str(max(end, 0)), content, "ABSTTL"]])
        if isinstance(said, Refusal) and not str(said).startswith("BUSYKEY"):
            raise said
        counted["written anew" if isinstance(said, Refusal) else "brought back"] += 1
    return counted


def _parts(keys: Sequence[Key]) -> Iterator[tuple[int, list[bytes]]]:
    for number in sorted({number for number, _ in keys}):
        here = [key for database, key in keys if database == number]
        for start in range(0, len(here), _AT_ONCE):
            yield number, here[start : start + _AT_ONCE]


def _now(server: Conversation) -> int:
    seconds, micros = (int(text(part)) for part in server.ask("TIME"))
    return seconds * 1000 + micros // 1000


def _word(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(word: str) -> bytes:
    return base64.b64decode(word)

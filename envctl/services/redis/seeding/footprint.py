"""Which keys belong to a dataset: what `clear` removes, `measure` reads and `conflicts` looks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envctl.errors import SeedFailed
from envctl.services.redis.seeding import patterns
from envctl.services.redis.seeding.connection import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envctl.services.redis.seeding.commands import Command
    from envctl.services.redis.seeding.connection import Connection
    from envctl.services.redis.seeding.rules import Rule

BLOCK = 1000
"""Commands or keys that are asked for at once."""

_READS = b"RO"


@dataclass(frozen=True)
class Footprint:
    """Patterns (the one with the longest literal text first), single keys, and the keys that each file writes."""

    patterns: tuple[patterns.Pattern, ...]
    keys: tuple[bytes, ...]
    files: Mapping[str, tuple[bytes, ...]]

    @classmethod
    def of(cls, rules: Iterable[Rule], files: Mapping[str, Sequence[Command]], redis: Connection | None) -> Footprint:
        """Of these rules and files of commands; the server says which keys a command writes.

        Raises:
            SeedFailed: the server does not know a command, or refuses its number of arguments.

        """
        all_patterns = {pattern for rule in rules for pattern in rule.patterns}
        constant = {pattern for pattern in all_patterns if patterns.constant(pattern)}
        wild = sorted(all_patterns - constant, key=lambda p: (-sum(map(len, filter(None, p))), patterns.shown(p)))
        written = {name: _written(redis, commands) for name, commands in files.items()} if redis else {}
        return cls(tuple(wild), tuple(sorted(patterns.shown(p).encode() for p in constant)), written)

    @classmethod
    def read(cls, noted: Mapping[str, Any]) -> Footprint:
        """As `noted` says."""
        files = {name: tuple(map(_bytes, keys)) for name, keys in noted.get("files", {}).items()}
        return cls(tuple(map(tuple, noted.get("patterns", []))), tuple(map(_bytes, noted.get("keys", []))), files)

    def noted(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "patterns": [list(pattern) for pattern in self.patterns],
            "keys": [_text(key) for key in self.keys],
            "files": {name: [_text(key) for key in keys] for name, keys in self.files.items()},
        }

    def single(self) -> list[bytes]:
        """All keys that are known by name."""
        return list(dict.fromkeys([*self.keys, *(key for keys in self.files.values() for key in keys)]))


def _written(redis: Connection, commands: Sequence[Command]) -> tuple[bytes, ...]:
    keys: dict[bytes, None] = {}
    for at in range(0, len(commands), BLOCK):
        block = commands[at : at + BLOCK]
        replies = redis.ask_all([["COMMAND", "GETKEYSANDFLAGS", *command.words] for command in block])
        for command, reply in zip(block, replies, strict=True):
            if isinstance(reply, Refusal):
                if "no key arguments" in str(reply):
                    continue
                raise SeedFailed(
                    f"{command} run by redis", str(reply), "mend the line; nothing of the file was run"
                ) from reply
            keys |= {key: None for key, flags in reply if _READS not in flags}
    return tuple(keys)


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")

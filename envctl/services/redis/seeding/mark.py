"""How far a load got, in Redis itself: a hash that changes in the same transactions as the data."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from envctl.errors import SeedFailed
from envctl.services.redis.seeding.connection import Refusal, command_bytes
from envctl.services.redis.seeding.scanning import MARK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envctl.seeding.journal import Notes
    from envctl.services.redis.seeding.connection import Connection

_MULTI, _EXEC = command_bytes(["MULTI"]), command_bytes(["EXEC"])
_KNOWN = command_bytes(["HEXISTS", MARK, "token"])
_AGAIN = "run `envctl seed` again: it begins anew in redis"


@dataclass(frozen=True)
class Position:
    """What comes next of a rule: chunk, row in it; and the rows that are loaded. Of a file: chunk 1 is its end."""

    chunk: int = 0
    row: int = 0
    rows: int = 0

    def __str__(self) -> str:
        return f"{self.chunk}:{self.row}:{self.rows}"


class RefusedCommand(Exception):
    """A command of a transaction was refused: its number from 0, and the server's words."""

    def __init__(self, number: int, reason: str) -> None:
        self.number, self.reason = number, reason
        super().__init__(number, reason)


class Mark:
    """The mark of one load, told from another's by a token in the journal."""

    def __init__(self, redis: Connection, notes: Notes) -> None:
        self._redis, self._notes = redis, notes

    def there(self) -> bool:
        """Whether the load that the journal knows is under way in this Redis, with all that it loaded so far."""
        token = self._notes.get("token", "")
        return bool(token) and self._redis.ask("HGET", MARK, "token") == token.encode()

    def begin(self) -> None:
        """Begin a load: first in the journal, then in Redis."""
        (seconds, micros), before = self._redis.ask("TIME"), self._redis.ask("DBSIZE")
        began = int(seconds) * 1000 + int(micros) // 1000
        token = secrets.token_hex(8)
        self._notes.set(token=token, began=began, before=before, finishing=False)
        self._redis.ask("HSET", MARK, "token", token)

    def positions(self) -> dict[str, Position]:
        """Where to go on, by name of rule or file; what is not there begins at its beginning."""
        flat = self._redis.ask("HGETALL", MARK)
        found = dict(zip((name.decode() for name in flat[::2]), flat[1::2], strict=True))
        found.pop("token", None)
        return {name: Position(*map(int, value.split(b":"))) for name, value in found.items()}

    def pour(self, data: bytes | memoryview, name: str, after: Position) -> None:
        """Run commands and note what comes after them, in one transaction.

        Raises:
            RefusedCommand: the first one that was refused. Redis does not take back those around it: the load is over,
                and the next one begins anew.
            SeedFailed: somebody removed the mark, and with it perhaps more.

        """
        replies = self._redis.pour(_MULTI, _KNOWN, data, command_bytes(self._moved(name, after)), _EXEC)
        if replies.startswith(b"-") or b"\n-" in replies:
            # What was refused before EXEC was not begun; what was refused by it is half done.
            if b"\n-EXECABORT" not in replies:
                self._redis.ask("UNLINK", MARK)
            raise _first_refused(replies)
        if not replies.partition(b"\r\n*")[2].partition(b"\r\n")[2].startswith(b":1\r\n"):
            self._vanished()

    def run(self, commands: Sequence[Sequence[bytes | str]], name: str, after: Position) -> None:
        """As `pour`, for a few commands whose replies can be anything."""
        known: list[bytes | str] = ["HEXISTS", MARK, "token"]
        *queued, done = self._redis.ask_all([["MULTI"], known, *commands, self._moved(name, after), ["EXEC"]])
        replies = queued[1:] if isinstance(done, Refusal) else done
        for number, reply in enumerate(replies):
            if isinstance(reply, Refusal):
                if not isinstance(done, Refusal):
                    self._redis.ask("UNLINK", MARK)
                raise RefusedCommand(number - 1, str(reply))
        if replies[0] != 1:
            self._vanished()

    def end(self) -> None:
        """All is loaded: nothing of the load remains but its keys.

        Raises:
            SeedFailed: the mark was gone already.

        """
        self._notes.set(finishing=True)
        if self._redis.ask("DEL", MARK) != 1:
            self._vanished()

    def _moved(self, name: str, after: Position) -> list[bytes | str]:
        return ["HSET", MARK, name, str(after)]

    def _vanished(self) -> NoReturn:
        self._redis.ask("UNLINK", MARK)
        raise SeedFailed("a load of redis undisturbed", "its data was removed meanwhile", _AGAIN)


def _first_refused(replies: bytes) -> RefusedCommand:
    """The first error of a transaction; the command before the data (which asks for the mark) is not counted."""
    lines = iter(replies.split(b"\r\n"))
    next(lines)  # of MULTI
    for number, line in enumerate(lines):
        if line.startswith(b"*"):
            break
        if line.startswith(b"-"):
            return RefusedCommand(number - 1, line[1:].decode(errors="replace"))
    for number, line in enumerate(lines):
        if line.startswith(b"-"):
            return RefusedCommand(number - 1, line[1:].decode(errors="replace"))
        if line.startswith(b"$"):
            next(lines)
    raise AssertionError(replies)  # pragma: no cover - the caller saw an error

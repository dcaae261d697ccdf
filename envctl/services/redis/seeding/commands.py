"""Files of Redis commands, one a line, as redis-cli reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from pathlib import Path

_ESCAPES = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
_BACKSLASH, _DOUBLE, _SINGLE, _X = b"\\\"'x"
_BLANKS = frozenset(b" \t\r\n\v\f\0")

REFUSED = frozenset(
    b"AUTH BGREWRITEAOF BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN CLIENT DEBUG DISCARD EXEC "
    b"FAILOVER FLUSHALL FLUSHDB HELLO MONITOR MULTI PSUBSCRIBE PSYNC QUIT REPLICAOF RESET SELECT SHUTDOWN SLAVEOF "
    b"SSUBSCRIBE SUBSCRIBE SWAPDB SYNC UNWATCH WATCH".split()
)
"""What would leave database 0, the transaction, or other datasets' keys."""


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a file."""

    file: Path
    line: int
    words: tuple[bytes, ...]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.words[0].decode(errors='replace')}"


def read_commands(file: Path) -> list[Command]:
    """The file's commands; empty lines and those that begin with `#` are none.

    Raises:
        ConfigurationError: every line that is no command, or one that has no place in a dataset.

    """
    found, problems = [], []
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        problem = Problem(f"cannot be read: {error.strerror}", "redis.commands", file)
        raise ConfigurationError([problem], "a valid dataset") from error
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith(b"#"):
            continue
        try:
            words = split(line)
        except ValueError as error:
            problems.append(Problem(str(error), "redis.commands", file, number))
            continue
        if words and words[0].upper() in REFUSED:
            name = words[0].decode().upper()
            problems.append(Problem(f"{name} has no place in a dataset", "redis.commands", file, number))
        elif words:
            found.append(Command(file, number, words))
    if problems:
        raise ConfigurationError(problems, "a valid dataset")
    return found


def split(line: bytes) -> tuple[bytes, ...]:
    r"""The words of a line: plain, in 'single' quotes (`\'`), or in "double" ones (`\n \r \t \b \a \xHH \" \\`).

    Raises:
        ValueError: a quote is not closed, or is followed by something else than a blank.

    """
    words: list[bytes] = []
    at = 0
    while True:
        while at < len(line) and line[at] in _BLANKS:
            at += 1
        if at == len(line):
            return tuple(words)
        word, at = _word(line, at)
        words.append(word)


def _word(line: bytes, at: int) -> tuple[bytes, int]:
    word, quote = bytearray(), 0
    while at < len(line):
        byte = line[at]
        if not quote and byte in _BLANKS:
            break
        if not quote and byte in {_DOUBLE, _SINGLE}:
            quote = byte
        elif byte == quote:
            if at + 1 < len(line) and line[at + 1] not in _BLANKS:
                raise ValueError("a closing quote must be followed by a blank")
            return bytes(word), at + 1
        elif quote and byte == _BACKSLASH and at + 1 < len(line):
            value, at = _escape(line, at, quote)
            word += value
            continue
        else:
            word.append(byte)
        at += 1
    if quote:
        raise ValueError("a quote is not closed")
    return bytes(word), at


def _escape(line: bytes, at: int, quote: int) -> tuple[bytes, int]:
    """What the backslash at `at` and what follows it mean, and the place after it."""
    after = line[at + 1]
    if quote == _SINGLE:
        return (b"'", at + 2) if after == _SINGLE else (b"\\", at + 1)
    if after == _X:
        digits = line[at + 2 : at + 4]
        if len(digits) == 2 and all(digit in b"0123456789abcdefABCDEF" for digit in digits):  # noqa: PLR2004
            return bytes([int(digits, 16)]), at + 4
        return b"x", at + 2
    return bytes([_ESCAPES.get(after, after)]), at + 2

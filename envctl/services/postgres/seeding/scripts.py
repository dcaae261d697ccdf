"""SQL files: run as they are, with the file and the line of what the server refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.errors import SeedFailed
from envctl.services.postgres.seeding.connection import OWNER, described, lost

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from envctl.services.postgres.seeding.connection import Connection

# What may hold a semicolon, a backslash or a keyword without meaning it: comments, texts, names, function bodies.
_TOKEN = re.compile(
    r"""(?P<skip> --[^\n]* | /\*.*?\*/ | [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
      | \$(?P<tag>[A-Za-z_]\w*|)\$.*?\$(?P=tag)\$ )
      | (?P<end> ;) | (?P<blank> \s+) | (?P<meta> \\[^\n]*) | (?P<word> [A-Za-z_]\w*\$*) | (?P<other> .)""",
    re.DOTALL | re.VERBOSE,
)
_HARMLESS = ("\\restrict", "\\unrestrict")
"""What pg_dump writes around its output; it means something to psql alone."""

_MEND = "mend the statement, then seed again"
_LATE_KEYS = (
    "tables that ship get their keys when they are full: add the reference in a file of postgres.after,"
    " with ALTER TABLE; of a table of your own make the key first; then seed again"
)
_NO_KEY = "42830"
_TRANSACTION = frozenset({"BEGIN", "START", "COMMIT", "ROLLBACK", "ABORT"})


@dataclass(frozen=True, slots=True)
class Script:
    """A file's text as the server takes it, and where in it each statement ends."""

    path: Path
    text: str
    ends: tuple[int, ...]

    def place(self, at: int) -> str:
        """`file:line` of a position in the text."""
        return f"{self.path}:{self.text.count(chr(10), 0, at) + 1}"


def read(path: Path) -> Script:
    """The statements of a file.

    Raises:
        SeedFailed: it cannot be read, or holds what only psql understands or what would end the loader's transaction.

    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SeedFailed(f"SQL from {path}", str(error), "mend the file's name or content") from error
    kept, ends, fresh, body = list(text), [], True, 0
    for token in _TOKEN.finditer(text):
        kind, said = token.lastgroup, token.group()
        if kind == "meta":
            _refuse_meta(path, text, token)
            kept[token.start() : token.end()] = " " * len(said)
        elif kind == "word":
            body = _depth(body, said.upper(), text[token.end() :].split(maxsplit=1)[:1])
            if fresh and said.upper() in _TRANSACTION:
                raise _wrong(path, text, token, f"{said.upper()} would end the transaction that the file runs in")
        if kind == "end" and not body:
            ends.append(token.end())
        if kind in {"word", "other", "end"}:
            fresh = kind == "end" and not body
    return Script(path, "".join(kept), (*ends, len(text)))


def run(connection: Connection, path: Path) -> None:
    """Run a file's statements as `app`, in the transaction under way.

    Raises:
        SeedFailed: the file is unusable, or the server refused a statement.

    """
    import psycopg

    script = read(path)
    connection.execute(f"SET ROLE {OWNER}; SAVEPOINT script")
    try:
        connection.execute(script.text.encode())
    except psycopg.Error as error:
        if lost(error):
            raise
        at, error = _culprit(connection, script, error)
        advice = _LATE_KEYS if error.sqlstate == _NO_KEY else _MEND
        raise SeedFailed(f"SQL from {path}", f"{script.place(at)}: {described(error)}", advice) from error
    # The file may have changed the session for itself, as pg_dump's do.
    connection.execute("RESET ROLE; RESET ALL")


def _culprit(connection: Connection, script: Script, error: psycopg.Error) -> tuple[int, psycopg.Error]:
    """Where the statement is that failed. The server tells the place of some errors; for the others the statements
    are run again one by one.
    """
    import psycopg

    if error.diag.statement_position is not None:
        return int(error.diag.statement_position) - 1, error
    connection.execute("ROLLBACK TO script")
    start = 0
    for end in script.ends:
        statement = script.text[start:end]
        try:
            connection.execute(statement.encode())
        except psycopg.Error as again:
            return start + len(statement) - len(statement.lstrip()), again
        start = end
    return 0, error


def _depth(body: int, word: str, following: list[str]) -> int:
    """How deep in the body of an SQL function (BEGIN ATOMIC … END) a word leads."""
    if word == "BEGIN" and following and following[0].upper().startswith("ATOMIC"):
        return 1
    if body and word == "CASE":
        return body + 1
    return max(0, body - 1) if word == "END" else body


def _refuse_meta(path: Path, text: str, token: re.Match[str]) -> None:
    if not token.group().startswith(_HARMLESS):
        raise _wrong(path, text, token, f"{token.group().split()[0]!r} is a command of psql, not SQL")


def _wrong(path: Path, text: str, token: re.Match[str], why: str) -> SeedFailed:
    line = text.count("\n", 0, token.start()) + 1
    return SeedFailed(f"SQL from {path}", f"{path}:{line}: {why}", "write it in SQL, or leave it out, then seed again")

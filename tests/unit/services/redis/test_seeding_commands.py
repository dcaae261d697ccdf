"""Files of commands are read as redis-cli reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.errors import ConfigurationError
from envctl.services.redis.seeding.commands import read_commands, split

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"SET a 1", (b"SET", b"a", b"1")),
        (b"  SET\ta   1  \r", (b"SET", b"a", b"1")),
        (b"", ()),
        (b'SET a "two words"', (b"SET", b"a", b"two words")),
        (rb'SET a "\n\r\t\b\a\x00\xfF\"\\\q"', (b"SET", b"a", b'\n\r\t\b\a\x00\xff"\\q')),
        (rb'SET a "\x4z\x"', (b"SET", b"a", b"x4zx")),
        (rb"SET a 'it\'s \n'", (b"SET", b"a", b"it's \\n")),
        (b"SET a ''", (b"SET", b"a", b"")),
        (b'SET a pre"fix"', (b"SET", b"a", b"prefix")),
        (rb"SET a back\slash", (b"SET", b"a", rb"back\slash")),
    ],
)
def test_a_line_is_split_into_words(line: bytes, words: tuple[bytes, ...]) -> None:
    """Quotes, escapes, blanks."""
    assert split(line) == words


def test_comments_and_empty_lines_are_no_commands(tmp_path: Path) -> None:
    """What is left knows its line."""
    file = tmp_path / "a.redis"
    file.write_text("# a comment\n\nSET a 1\n  # another\nSET b 2")
    assert [(command.line, command.words[1]) for command in read_commands(file)] == [(3, b"a"), (5, b"b")]


def test_all_bad_lines_are_named_at_once(tmp_path: Path) -> None:
    """With file and line."""
    file = tmp_path / "a.redis"
    file.write_text('SET a \'open\nSET b "x"y\nSET c 1\nflushall\nMULTI\n')
    with pytest.raises(ConfigurationError) as caught:
        read_commands(file)
    assert [(problem.line, problem.message) for problem in caught.value.problems] == [
        (1, "a quote is not closed"),
        (2, "a closing quote must be followed by a blank"),
        (4, "FLUSHALL has no place in a dataset"),
        (5, "MULTI has no place in a dataset"),
    ]
    assert all(problem.file == file for problem in caught.value.problems)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """As what is wrong with the dataset."""
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_commands(tmp_path / "none.redis")

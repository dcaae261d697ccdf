"""Passes over all keys of database 0 in the server, a page at a time, so that nobody else waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envctl.services.redis.seeding import patterns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from envctl.services.redis.seeding.connection import Connection

MARK = b"_envctl:seed"
"""The key under which the progress of a load stands; gone when all is loaded."""

PAGE = 500
"""Keys a page: the slowest page (digests of hashes) holds the server for a few milliseconds."""

SCAN = """
local page = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2])
local found = {}
for _, key in ipairs(page[2]) do
  for i = 3, #ARGV do
    if string.find(key, ARGV[i]) then
      found[#found + 1] = {i - 2, key}
      break
    end
  end
end
"""
"""The beginning of a script: ARGV are the cursor, the page and the targets' Lua patterns, `found` pairs of target's
number (from 1) and key. A key belongs to the first target that it matches."""

_FIND = SCAN + "return {page[1], #page[2], found}"
_REMOVE = SCAN + "for _, f in ipairs(found) do redis.call('UNLINK', f[2]) end return {page[1], #page[2], found}"


def found(redis: Connection, targets: Sequence[patterns.Pattern]) -> Iterator[tuple[int, bytes]]:
    """Every key that matches a target, with the target's number; one may come twice."""
    yield from _pages(redis, _FIND, targets)


def removed(redis: Connection, targets: Sequence[patterns.Pattern]) -> Iterator[tuple[int, bytes]]:
    """As `found`; each is removed."""
    yield from _pages(redis, _REMOVE, targets)


def _pages(redis: Connection, script: str, targets: Sequence[patterns.Pattern]) -> Iterator[tuple[int, bytes]]:
    for answer in answers(redis, script, targets):
        for number, key in answer[2]:
            yield number - 1, key


def answers(redis: Connection, script: str, targets: Sequence[patterns.Pattern]) -> Iterator[list[Any]]:
    """What the script says of each page until the last."""
    cursor = b"0"
    while True:
        answer = redis.ask("EVAL", script, 0, cursor, PAGE, *map(patterns.lua, targets))
        cursor = answer[0]
        yield answer
        if cursor == b"0":
            return

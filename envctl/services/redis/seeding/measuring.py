"""What is in Redis, as numbers and digests: computed by a script in the server, page by page."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envctl.services.redis.seeding import patterns
from envctl.services.redis.seeding.scanning import SCAN, answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from envctl.services.redis.seeding.connection import Connection
    from envctl.services.redis.seeding.footprint import Footprint

PIECE = 1000
"""Members of a key that are read at once; a key with more is digested here, piece by piece, and not in the script."""

_MODULUS = 1 << 40
_ATTEMPTS = 3

# The digest of a key: SHA-1 of its name, type, whether it ends, and its content in an order of its own. As three
# numbers of 40 bits, whose sums over a page are exact in Lua's numbers.
_DIGEST = """
local function pairs_sorted(flat)
  local names, by = {}, {}
  for i = 1, #flat, 2 do names[#names + 1] = flat[i]; by[flat[i]] = flat[i + 1] end
  table.sort(names)
  for i = 1, #names do names[i] = {names[i], by[names[i]]} end
  return names
end
local function sorted(list) table.sort(list); return list end
local sizes = {hash = 'HLEN', list = 'LLEN', set = 'SCARD', zset = 'ZCARD', stream = 'XLEN'}
local read = {
  string = function(key) return redis.call('GET', key) end,
  hash = function(key) return pairs_sorted(redis.call('HGETALL', key)) end,
  list = function(key) return redis.call('LRANGE', key, 0, -1) end,
  set = function(key) return sorted(redis.call('SMEMBERS', key)) end,
  zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  stream = function(key) return redis.call('XRANGE', key, '-', '+') end,
}
local targets, large = {}, {}
local function add(target, key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return end
  local size = sizes[kind] and redis.call(sizes[kind], key) or 1
  local t = targets[target]
  if not t then t = {keys = 0, members = 0, kinds = {}, 0, 0, 0}; targets[target] = t end
  t.keys = t.keys + 1
  t.members = t.members + size
  t.kinds[kind] = (t.kinds[kind] or 0) + 1
  local ends = redis.call('PTTL', key) >= 0
  if size > tonumber(PIECE) or not read[kind] then
    large[#large + 1] = {target, key, kind, ends and 1 or 0}
    return
  end
  local sum = redis.sha1hex(cmsgpack.pack({key, kind, ends, read[kind](key)}))
  for i = 1, 3 do t[i] = t[i] + tonumber(string.sub(sum, i * 10 - 9, i * 10), 16) end
end
local function summary()
  local all = {}
  for target, t in pairs(targets) do
    local kinds = {}
    for kind, n in pairs(t.kinds) do kinds[#kinds + 1] = kind; kinds[#kinds + 1] = n end
    local sums = string.format('%.0f %.0f %.0f', t[1], t[2], t[3])
    all[#all + 1] = {target, t.keys, t.members, sums, kinds}
  end
  return all
end
""".replace("PIECE", str(PIECE))

_MEASURE_FOUND = (
    SCAN + _DIGEST + "for _, f in ipairs(found) do add(f[1], f[2]) end return {page[1], #page[2], summary(), large}"
)
_MEASURE_NAMED = _DIGEST + "for i = 2, #ARGV do add(tonumber(ARGV[1]), ARGV[i]) end return {summary(), large}"


@dataclass
class Measured:
    """What is in the keys of one target."""

    keys: int = 0
    members: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    sums: list[int] = field(default_factory=lambda: [0, 0, 0])

    def add(self, page: list[Any]) -> None:
        """Add what a script said of a page."""
        _, keys, members, sums, kinds = page
        self.keys += keys
        self.members += members
        for kind, count in zip(kinds[::2], kinds[1::2], strict=True):
            self.kinds[kind.decode()] = self.kinds.get(kind.decode(), 0) + count
        self.mix([int(number) for number in sums.split()])

    def mix(self, numbers: Sequence[int]) -> None:
        """Add a digest; in which order does not matter."""
        self.sums = [(mine + number) % _MODULUS for mine, number in zip(self.sums, numbers, strict=True)]

    @property
    def digest(self) -> str:
        """The digest of all, 30 hexadecimal digits."""
        return "".join(f"{number:010x}" for number in self.sums)


def measured(redis: Connection, footprint: Footprint) -> dict[str, Any]:
    """By pattern, single key and file: keys (`rows`), their members, how many of each type, and a digest.

    The digest covers names, types, contents and whether a key ends, not when; it depends on no order but that of lists,
    sorted sets and streams.
    """
    found = _by_pattern(redis, footprint.patterns) if footprint.patterns else {}
    for key in footprint.keys:
        found[key.decode()] = _named(redis, [key])
    for file, keys in footprint.files.items():
        found[file] = _named(redis, keys)
    return {
        name: {"rows": m.keys, "members": m.members, "types": dict(sorted(m.kinds.items())), "digest": m.digest}
        for name, m in found.items()
    }


def _by_pattern(redis: Connection, targets: Sequence[patterns.Pattern]) -> dict[str, Measured]:
    """One pass over all keys; again where keys came and went meanwhile, or one may have come twice."""
    for _ in range(_ATTEMPTS):
        found = [Measured() for _ in targets]
        looked, before = 0, redis.ask("DBSIZE")
        for _, keys, pages, large in answers(redis, _MEASURE_FOUND, targets):
            looked += keys
            _add(redis, found, pages, large)
        if looked == before == redis.ask("DBSIZE"):
            break
    return {patterns.shown(target): m for target, m in zip(targets, found, strict=True)}


def _named(redis: Connection, keys: Sequence[bytes]) -> Measured:
    found = Measured()
    for at in range(0, len(keys), PIECE // 2):
        pages, large = redis.ask("EVAL", _MEASURE_NAMED, 0, 1, *keys[at : at + PIECE // 2])
        _add(redis, [found], pages, large)
    return found


def _add(redis: Connection, found: Sequence[Measured], pages: list[Any], large: list[Any]) -> None:
    for page in pages:
        found[page[0] - 1].add(page)
    for target, key, kind, ends in large:
        found[target - 1].mix(_digest_of_large(redis, key, kind, ends=bool(ends)))


def _digest_of_large(redis: Connection, key: bytes, kind: bytes, *, ends: bool) -> list[int]:
    """The digest of a key that is read in pieces; members of sets and hashes are added up, as they have no order."""
    head = b"%d:%b%b%d" % (len(key), key, kind, ends)
    if kind in {b"hash", b"set"}:
        sums = Measured()
        for member in _scanned(redis, key, kind):
            sums.mix(_numbers(hashlib.sha1(head + _packed(member)).hexdigest()))  # noqa: S324 - no secret
        return sums.sums
    whole = hashlib.sha1(head)  # noqa: S324 - as above
    for piece in _ordered(redis, key, kind):
        whole.update(_packed(piece))
    return _numbers(whole.hexdigest())


def _scanned(redis: Connection, key: bytes, kind: bytes) -> Iterator[list[bytes]]:
    """The members of a set, or fields with values of a hash, each once."""
    cursor, step, seen = b"0", 2 if kind == b"hash" else 1, set()
    while True:
        cursor, flat = redis.ask("HSCAN" if kind == b"hash" else "SSCAN", key, cursor, "COUNT", PIECE)
        for at in range(0, len(flat), step):
            if flat[at] not in seen:
                seen.add(flat[at])
                yield flat[at : at + step]
        if cursor == b"0":
            return


def _ordered(redis: Connection, key: bytes, kind: bytes) -> Iterator[list[Any]]:
    """A list's, sorted set's or stream's content in pieces; of any other type what DUMP gives."""
    if kind == b"stream":
        after = "-"
        while entries := redis.ask("XRANGE", key, after, "+", "COUNT", PIECE):
            yield [part for entry, parts in entries for part in (entry, *parts)]
            after = f"({entries[-1][0].decode()}"
        return
    if kind not in {b"list", b"zset"}:
        yield [redis.ask("DUMP", key) or b""]
        return
    command, options = ("LRANGE", ()) if kind == b"list" else ("ZRANGE", ("WITHSCORES",))
    at = 0
    while piece := redis.ask(command, key, at, at + PIECE - 1, *options):
        yield piece
        at += PIECE


def _packed(parts: Sequence[bytes]) -> bytes:
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)


def _numbers(digest: str) -> list[int]:
    return [int(digest[at : at + 10], 16) for at in (0, 10, 20)]

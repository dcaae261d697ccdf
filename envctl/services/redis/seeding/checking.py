"""What is in Redis against what should be, by counting and by looking at a few keys."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from envctl.errors import SeedFailed
from envctl.services.redis.seeding import patterns
from envctl.services.redis.seeding.footprint import BLOCK, Footprint
from envctl.services.redis.seeding.scanning import found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from envctl.services.redis.seeding.commands import Command
    from envctl.services.redis.seeding.connection import Connection
    from envctl.services.redis.seeding.rules import Rule

    Samples = list[tuple[int, list[str]]]
    """When the keys end (Unix ms, 0 for never), and a few of them that were there when all was loaded."""

_SAMPLES_OF_FILE = 20


def foreign(redis: Connection, footprint: Footprint) -> list[str]:
    """Keys that are there already and that a footprint would claim."""
    count, example = Counter[int](), dict[int, bytes]()
    if footprint.patterns:
        for number, key in found(redis, footprint.patterns):
            count[number] += 1
            example.setdefault(number, key)
    single = footprint.single()
    there = redis.ask_all([["EXISTS", key] for key in single])
    said = [f"key {key.decode(errors='replace')!r} is there" for key, yes in zip(single, there, strict=True) if yes]
    for number, keys in sorted(count.items()):
        pattern, such = patterns.shown(footprint.patterns[number]), example[number].decode(errors="replace")
        said.append(f"{keys:,} key{'' if keys == 1 else 's'} like {pattern!r} are there, such as {such!r}")
    return said


def check(
    redis: Connection, rules: Sequence[Rule], loaded: Mapping[int, int], before: int, expires: Callable[[Rule], int]
) -> None:
    """See that every key of every rule is there, whatever the replies were.

    Raises:
        SeedFailed: one is missing.

    """
    # The usual case costs nothing: every row is a key, or a rule is one key; and nobody else came or went.
    keys = sum(min(loaded[rule.number], 1) if _single(rule) else loaded[rule.number] for rule in rules)
    if redis.ask("DBSIZE") == before + keys + 1:
        return
    for rule in rules:
        for block in _blocks(rule):
            if redis.ask("EXISTS", *block) < len(block) and not over(redis, expires(rule)):
                there = redis.ask_all([["EXISTS", key] for key in block])
                missing = [key for key, yes in zip(block, there, strict=True) if not yes]
                if missing:
                    raise SeedFailed(
                        f"all keys of {rule} in redis", f"{missing[0]!r} is missing", "run `envctl seed` again"
                    )


def samples(
    redis: Connection,
    rules: Sequence[Rule],
    files: Mapping[str, Sequence[Command]],
    expires: Callable[[Rule], int],
) -> Samples:
    """A few keys of each rule and file, by which to see later whether the data is still there."""
    written = Footprint.of([], files, redis).files if files else {}
    groups = [(expires(rule), rule.some_keys()) for rule in rules]
    groups += [(0, [key.decode("utf-8", "replace") for key in keys[:_SAMPLES_OF_FILE]]) for keys in written.values()]
    found_keys: Samples = []
    for ends, keys in groups:
        there = redis.ask_all([["EXISTS", key] for key in keys])
        kept = [key for key, yes in zip(keys, there, strict=True) if yes]
        if kept:
            found_keys.append((ends, kept))
    return found_keys


def there(redis: Connection, noted: Samples) -> bool:
    """Whether of each group of samples one key is there, or all have ended."""
    return all(redis.ask("EXISTS", *keys) or over(redis, ends) for ends, keys in noted)


def over(redis: Connection, expires: int) -> bool:
    """Whether keys that end then have ended, by the server's clock."""
    return 0 < expires <= int(redis.ask("TIME")[0]) * 1000 + 1000


def _single(rule: Rule) -> bool:
    return len(rule.patterns) == 1 and patterns.constant(rule.patterns[0])


def _blocks(rule: Rule) -> Iterator[list[Any]]:
    """The rule's keys, many at a time; a rule of one key has it once."""
    for chunk in range(rule.chunks):
        keys = rule.rows_of(chunk)[0].keys
        listed = keys.unique().to_pylist()
        yield from (listed[at : at + BLOCK] for at in range(0, len(listed), BLOCK))

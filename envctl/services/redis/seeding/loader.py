"""Loads a dataset's Redis share, reads it back and compares it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING

from envctl.errors import SeedFailed
from envctl.seeding.column import lengths
from envctl.seeding.loading import Size
from envctl.seeding.manifest import LOADING
from envctl.services.redis.seeding import checking, measuring
from envctl.services.redis.seeding.clearing import remove
from envctl.services.redis.seeding.commands import Command, read_commands
from envctl.services.redis.seeding.comparing import Comparison
from envctl.services.redis.seeding.connection import Connection, command_bytes
from envctl.services.redis.seeding.footprint import Footprint
from envctl.services.redis.seeding.mark import Mark, Position, RefusedCommand
from envctl.services.redis.seeding.rules import Rule
from envctl.services.redis.seeding.scanning import MARK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envctl.model import Endpoint
    from envctl.seeding.loading import JSON, Job
    from envctl.services.redis.seeding.resp import Commands

BATCH = 1 << 20
"""Bytes of a transaction: the server holds them until EXEC, and answers nobody else for the 3 ms that it takes."""

CHECKED = "rules checked"

READ_BACK = 200_000
"""Keys up to which a load ends with a digest of all that is there. The server needs 6 to 9 µs a key for it (measured),
several times what loading strings takes: of more strings only the number is kept, and the first comparison makes every
row anew. (That would not see a member too many in a key of another type.)
"""

ALL = "all keys"
"""Under which that number stands in the manifest."""


class RedisLoader:
    """Rules in the dataset's order, then files of commands; one transaction a megabyte, the mark in each."""

    def __init__(self, at: Endpoint, job: Job) -> None:
        self._at, self._job = at, job
        spec = job.dataset.redis
        self._rules = [Rule(number, keys, job.world) for number, keys in enumerate(spec.keys)]

    @cached_property
    def _files(self) -> Mapping[str, list[Command]]:
        """The commands by file, each file under its name (and its number, where two have the same)."""
        files = self._job.dataset.redis.commands
        names = [file.name for file in files]
        shown = [n if names.count(n) == 1 else f"{n} ({i})" for i, n in enumerate(names)]
        return {name: read_commands(file) for name, file in zip(shown, files, strict=True)}

    def size(self) -> Size:
        """Rows of the relations (also those that give no key) and commands; the bytes of rules by a few rows."""
        total = Size(0, 0)
        for rule in self._rules:
            size = of = 0
            for sample, rows in rule.samples():
                of += rows
                size += int(lengths(rule.commands(sample, _SOME_TIME if rule.spec.ttl else 0).rows).sum())
            total += Size(rule.relation_rows, size * rule.relation_rows // max(1, of))
        for commands in self._files.values():
            total += Size(len(commands), sum(len(command_bytes(command.words)) for command in commands))
        return total

    def footprint(self) -> JSON:
        """Patterns of keys, and single keys; the server is asked what the commands of files write."""
        if not self._files:
            return Footprint.of(self._rules, {}, None).noted()
        with Connection(self._at) as redis:
            return Footprint.of(self._rules, self._files, redis).noted()

    def conflicts(self) -> list[str]:
        """Keys that the dataset would take for its own: they would be overwritten, and removed with it."""
        if self._job.notes.get("token"):
            return []
        with Connection(self._at) as redis:
            if redis.ask("DBSIZE") == 0:
                return []
            footprint = Footprint.of(self._rules, self._files, redis)
            return checking.foreign(redis, footprint)

    def load(self) -> None:
        """Load, or go on where the mark says; begin anew, after removing what is ours, where there is no mark."""
        with Connection(self._at) as redis:
            mark = Mark(redis, self._job.notes)
            if not mark.there():
                if self._job.notes.get("finishing") and self._holds(redis):
                    return
                if self._job.notes.get("token"):
                    remove(redis, Footprint.of(self._rules, self._files, redis))
                mark.begin()
            self._load(redis, mark)
            self._job.notes.set(samples=checking.samples(redis, self._rules, self._files, self._expires))
            mark.end()

    def present(self) -> bool:
        """Whether no load is half done, and of each rule and file a key is there."""
        with Connection(self._at) as redis:
            return bool(self._job.notes.get("finishing")) and self._holds(redis)

    def measure(self) -> JSON:
        """Keys, members, types and a digest by pattern, single key and file of commands; see `READ_BACK`."""
        with Connection(self._at) as redis:
            strings = not self._files and all(rule.spec.type == "string" for rule in self._rules)
            if strings and self._job.notes.get("state") == LOADING:
                keys = redis.ask("DBSIZE") - self._job.notes.get("before", 0)
                if keys > READ_BACK:
                    return {ALL: {"rows": keys, "digest": None}}
            return measuring.measured(redis, Footprint.of(self._rules, self._files, redis))

    def difference(self, recorded: JSON, measured: JSON) -> str:
        """The first key whose content is not what its rule says; else which numbers differ."""
        with Connection(self._at) as redis:
            footprint = Footprint.of(self._rules, self._files, redis)
            for rule in self._rules:
                if rule.spec.ttl and checking.over(redis, self._expires(rule)):
                    return f"redis {rule}: its keys have ended: their time to live of {rule.spec.ttl} s is over"
            comparison = Comparison(redis, self._rules, footprint)
            if ALL not in recorded:
                return comparison.difference(recorded, measured)
            wanted, there = recorded[ALL]["rows"], sum(part["rows"] for part in measured.values())
            numbers = f"wanted {wanted} keys, found {there}" if wanted != there else ""
            exact = comparison.wrong(self._rules)
            return f"redis: {'; '.join(filter(None, [numbers, exact]))}" if numbers or exact else ""

    def _holds(self, redis: Connection) -> bool:
        return redis.ask("EXISTS", MARK) == 0 and checking.there(redis, self._job.notes.get("samples", []))

    def _load(self, redis: Connection, mark: Mark) -> None:
        positions = mark.positions()
        loaded: dict[int, int] = {}
        for rule in self._rules:
            loaded[rule.number] = self._pour(mark, rule, positions.get(_name(rule), Position()))
        if CHECKED not in positions:
            # Before the files: their commands may remove keys again.
            checking.check(redis, self._rules, loaded, self._job.notes.get("before"), self._expires)
            mark.run([], CHECKED, Position())
        for name, commands in self._files.items():
            if f"file {name}" not in positions:
                self._run(mark, name, commands)

    def _pour(self, mark: Mark, rule: Rule, at: Position) -> int:
        """Load the rest of a rule; how many of its rows gave something. The next chunk is made while one is sent."""
        if at.chunk >= rule.chunks:
            return at.rows
        with ThreadPoolExecutor(1, "redis-seed") as ahead:
            coming = ahead.submit(self._made, rule, at.chunk)
            while at.chunk < rule.chunks:
                commands, rows = coming.result()
                if at.chunk + 1 < rule.chunks:
                    coming = ahead.submit(self._made, rule, at.chunk + 1)
                at = self._send(mark, rule, at, commands)
                self._job.progress(rows - len(commands.keys), 0)
        return at.rows

    def _made(self, rule: Rule, chunk: int) -> tuple[Commands, int]:
        rows, of = rule.rows_of(chunk)
        return rule.commands(rows, self._expires(rule)), of

    def _send(self, mark: Mark, rule: Rule, at: Position, commands: Commands) -> Position:
        """One chunk, from the position's row on."""
        for start, stop, data in commands.batches(at.row, BATCH):
            self._job.go_on()
            rows = at.rows + stop - start
            at = Position(at.chunk + 1, 0, rows) if stop == len(commands.keys) else Position(at.chunk, stop, rows)
            try:
                mark.pour(data, _name(rule), at)
            except RefusedCommand as refused:
                key = commands.key_of(start, refused.number)
                raise SeedFailed(f"{rule} loaded into redis", f"key {key!r}: {refused.reason}", _MEND) from refused
            self._job.progress(stop - start, len(data))
        # A chunk that gives nothing has no last batch.
        return at if len(commands.keys) else Position(at.chunk + 1, 0, at.rows)

    def _run(self, mark: Mark, name: str, commands: list[Command]) -> None:
        self._job.go_on()
        try:
            mark.run([command.words for command in commands], f"file {name}", Position(1))
        except RefusedCommand as refused:
            where = commands[min(max(refused.number, 0), len(commands) - 1)]
            raise SeedFailed(f"{where} run by redis", refused.reason, _MEND) from refused
        self._job.progress(len(commands), sum(len(command_bytes(command.words)) for command in commands))

    def _expires(self, rule: Rule) -> int:
        """When the rule's keys end, in Unix ms by the server's clock: the same also after a resume; 0 for never."""
        return self._job.notes.get("began") + rule.spec.ttl * 1000 if rule.spec.ttl else 0


_SOME_TIME = 1_700_000_000_000
"""A moment in Unix ms, where any will do."""

_MEND = "mend the dataset, or remove what stands in the way; run `envctl seed` again"


def _name(rule: Rule) -> str:
    return f"rule {rule.number}"

"""What a dataset wants in the buckets: every object with its key, its size and where its bytes come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from envctl.errors import ConfigurationError, Problem
from envctl.services.minio.seeding.folders import Contents, files_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from envctl.seeding.objects import Piece
    from envctl.seeding.spec import Bucket, Dataset, Objects
    from envctl.seeding.world import World

_LONGEST_KEY, _LONGEST_NAME = 1024, 255
_FIRST_PRINTABLE = " "
_TOLD = 20
"""Problems of one kind that are told one by one."""


class Stream(Protocol):
    """An object's bytes in pieces; `rows` is how many intact rows they were, known when they are exhausted."""

    rows: int

    def __iter__(self) -> Iterator[Piece]:
        """The pieces, once."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """One object to be stored. `open` gives its bytes, anew at each call.

    A generated one whose facts others ask for stands for `row` of `relation`; a user's file was last `changed` at that
    time (ns since 1970).
    `origin` says where it comes from, for people. Items with the same `content` have the same bytes; with none,
    nobody knows.
    """

    bucket: str
    key: str
    size: int
    open: Callable[[], Stream]
    origin: str
    relation: str = ""
    row: int = 0
    changed: int = 0
    content: Hashable = None

    @property
    def name(self) -> str:
        """`bucket/key`."""
        return f"{self.bucket}/{self.key}"


def planned(dataset: Dataset, world: World) -> list[Item]:
    """All objects of all buckets: first users' files, then generated ones; in the dataset's order.

    Raises:
        ConfigurationError: a key is made twice or is none, a folder is missing or holds what is no file.

    """
    items = [item for bucket in dataset.buckets.values() for item in _files(dataset, bucket)]
    known: set[str] = set()
    for bucket, rule in ((b, rule) for b in dataset.buckets.values() for rule in b.objects):
        # Where several rules make objects from one relation, its facts are those of the first.
        items += _generated(world, bucket.name, rule, "" if rule.relation in known else rule.relation)
        known.add(rule.relation)
    problems = [*_twice(items), *_unusable(items)]
    if problems:
        told = [Problem(why, f"minio.buckets.{item.bucket}", dataset.file) for item, why in problems[:_TOLD]]
        if len(problems) > _TOLD:
            told.append(Problem(f"and {len(problems) - _TOLD:,} more of this kind"))
        raise ConfigurationError(told, "a valid dataset")
    return items


def _files(dataset: Dataset, bucket: Bucket) -> Iterator[Item]:
    for folder in bucket.folders:
        for file in files_of(folder, f"minio.buckets.{bucket.name}", dataset.file):
            contents = partial(Contents, file)
            yield Item(bucket.name, file.key, file.size, contents, str(file.path), changed=file.changed)


def _generated(world: World, bucket: str, rule: Objects, relation: str) -> Iterator[Item]:
    from envctl.seeding.objects import Bodies

    bodies = Bodies(world, rule)
    for entry in bodies.entries():
        body, origin = partial(bodies.stream, entry), f"row {entry.row} of {rule.relation}"
        content = (bucket, id(rule), replace(entry, row=0, key=""))
        yield Item(bucket, entry.key, entry.size, body, origin, relation, entry.row, content=content)


def _twice(items: Iterable[Item]) -> Iterator[tuple[Item, str]]:
    seen: dict[str, Item] = {}
    for item in items:
        first = seen.setdefault(item.name, item)
        if first is not item:
            yield item, f"the key {item.key!r} is made twice: by {first.origin} and by {item.origin}"


def _unusable(items: Iterable[Item]) -> Iterator[tuple[Item, str]]:
    """Keys that MinIO does not take, or cannot name again in a request to remove them."""
    for item in items:
        parts = item.key.split("/")
        if not {"", ".", ".."}.isdisjoint(parts):
            yield item, f"{item.key!r} ({item.origin}) is no key: it has an empty part, `.` or `..`"
        elif min(item.key) < _FIRST_PRINTABLE:
            yield item, f"{item.key!r} ({item.origin}) is no key: it has control characters"
        elif len(item.key.encode()) > _LONGEST_KEY or max(len(part.encode()) for part in parts) > _LONGEST_NAME:
            yield item, f"{item.key!r} ({item.origin}) is no key: it may have 1024 bytes, 255 between two slashes"

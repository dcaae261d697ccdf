"""Loads a dataset's objects into MinIO, and reads back what is there."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

from envctl.seeding.facts import Fact
from envctl.seeding.loading import Size
from envctl.services.minio.seeding import buckets, verify
from envctl.services.minio.seeding.client import Client
from envctl.services.minio.seeding.noted import Noted
from envctl.services.minio.seeding.plan import planned
from envctl.services.minio.seeding.upload import Upload

if TYPE_CHECKING:
    from envctl.model import Endpoint
    from envctl.seeding.loading import JSON, Job, Loader
    from envctl.services.minio.seeding.buckets import Stored
    from envctl.services.minio.seeding.plan import Item

_TOLD = 20
"""Conflicts that are told one by one."""

_MADE = "made"


class MinioLoader:
    """One dataset's share of MinIO.

    An object is there whole or not at all, and what is there is ours when its size and ETag are those that were noted
    when it was stored. So a later run lists, and sends what is not proven by that.
    """

    def __init__(self, at: Endpoint, job: Job) -> None:
        self._at, self._job = at, job
        self._noted = Noted(job.notes, job.dataset.digest)

    def size(self) -> Size:
        """Objects, and their bytes."""
        return Size(len(self._items), sum(item.size for item in self._items))

    def footprint(self) -> JSON:
        """The keys by bucket, and the buckets that are, or will be, made for the dataset."""
        with Client(self._at) as client:
            return {"buckets": sorted({*self._made(), *self._missing(client)}), "keys": self._keys}

    def conflicts(self) -> list[str]:
        """Objects with other bytes under the dataset's keys, and with other keys in its folders.

        One of the same size costs making ours to compare.
        """
        told = []
        with Client(self._at) as client:
            stored = self._stored(client)
        for item in self._items:
            self._job.go_on()
            there = stored.pop(item.name, None)
            if there and not self._noted.proves(item, there) and not self._is_equal(item, there):
                told.append(f"object {item.name} is there with other bytes ({there.size:,}, ETag {there.etag})")
        told += [f"object {name} is there, in a folder that is to be the dataset's alone" for name in stored]
        more = len(told) - _TOLD
        return [*told[:_TOLD], f"{more:,} more objects are in the way"] if more > 0 else told

    def load(self) -> None:
        """Make the buckets, and store what is not proven to be there."""
        generated, facts = {item.relation for item in self._items if item.relation}, self._job.facts
        for relation in generated:
            facts.expect(relation)
        try:
            with Client(self._at) as client:
                self._make_buckets(client)
                stored = self._stored(client)
            Upload(self._at, self._job, self._noted).run(self._missed(stored))
        finally:
            for relation in generated:
                facts.give_up(relation)
            self._noted.flush()

    def present(self) -> bool:
        """Whether each bucket is there with its first and its last object."""
        with Client(self._at) as client:
            return not self._missing(client) and all(
                buckets.holds(client, bucket, key)
                for bucket, keys in self._keys.items()
                for key in {*keys[:1], *keys[-1:]}
            )

    def measure(self) -> JSON:
        """The manifest's part; see `verify`."""
        with Client(self._at) as client:
            return {bucket: verify.section(self._listed(client, bucket)) for bucket in self._keys}

    def difference(self, recorded: JSON, measured: JSON) -> str:
        """The first object, by its key, that is missing, too many or another."""
        return verify.difference(recorded, measured)

    @cached_property
    def _items(self) -> list[Item]:
        """The plan; what an earlier run noted of its objects is told to whoever asks for their facts."""
        items = planned(self._job.dataset, self._job.world)
        for item in items:
            note = self._noted.of(item)
            if note and item.relation:
                self._job.facts.learn(item.relation, item.row, Fact(note.size, note.etag, note.rows))
        return items

    @cached_property
    def _keys(self) -> dict[str, list[str]]:
        """The keys of each bucket; none in one that stays empty."""
        keys: dict[str, list[str]] = {bucket: [] for bucket in self._job.dataset.buckets}
        for item in self._items:
            keys[item.bucket].append(item.key)
        return keys

    def _make_buckets(self, client: Client) -> None:
        missing = self._missing(client)
        if missing:
            self._job.notes.set(**{_MADE: sorted({*self._made(), *missing})})
        for bucket in missing:
            buckets.make(client, bucket)

    def _missed(self, stored: dict[str, Stored]) -> list[Item]:
        """What must be stored; the rest counts as loaded."""
        missed = []
        for item in self._items:
            there = stored.get(item.name)
            if there and self._noted.proves(item, there):
                self._job.progress(1, item.size)
            else:
                missed.append(item)
        return missed

    def _stored(self, client: Client) -> dict[str, Stored]:
        """What is in the dataset's folders, by `bucket/key`."""
        return {f"{bucket}/{found.key}": found for bucket in self._keys for found in self._listed(client, bucket)}

    def _listed(self, client: Client, bucket: str) -> list[Stored]:
        scope = buckets.Scope(self._keys[bucket])
        return [found for found in buckets.listed(client, bucket, scope.prefix) if found.key in scope]

    def _missing(self, client: Client) -> list[str]:
        there = buckets.names(client)
        return [bucket for bucket in self._keys if bucket not in there]

    def _made(self) -> list[str]:
        """The buckets that an earlier run made, or was about to."""
        made: list[str] = self._job.notes.get(_MADE, [])
        return made

    def _is_equal(self, item: Item, there: Stored) -> bool:
        """Whether what is there has the item's bytes."""
        if there.size != item.size:
            return False
        if item.relation:
            return there.etag == self._job.facts.computed(item.relation, item.row).etag
        md5 = hashlib.md5(usedforsecurity=False)
        for piece in item.open():
            self._job.go_on()
            md5.update(piece)
        return there.etag == md5.hexdigest()


if TYPE_CHECKING:
    _loader: type[Loader] = MinioLoader

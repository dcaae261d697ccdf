"""Storing objects on several connections at once."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

from envctl.errors import SeedFailed
from envctl.seeding.facts import Fact
from envctl.services.minio.seeding.buckets import path
from envctl.services.minio.seeding.client import OK, Client, refused
from envctl.services.minio.seeding.folders import kind_of
from envctl.services.minio.seeding.noted import Note
from envctl.waiting import in_parallel

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from envctl.model import Endpoint
    from envctl.seeding.loading import Job
    from envctl.seeding.objects import Piece
    from envctl.services.minio.seeding.noted import Noted
    from envctl.services.minio.seeding.plan import Item, Stream

_MD5 = re.compile("[0-9a-f]{32}")


class _Ended(Exception):
    """Another connection failed; what this one does is of no use any more."""


class Upload:
    """Stores items, as many at once as the job allows.

    An object's MD5 is computed by the server alone, which compares a checksum of what it got. What has the bytes of
    another object is not made and sent again: the server copies that one.
    """

    def __init__(self, at: Endpoint, job: Job, noted: Noted) -> None:
        self._at, self._job, self._noted = at, job, noted
        self._lock, self._failed = threading.Lock(), threading.Event()

    def run(self, items: Sequence[Item]) -> None:
        """Store all of them; the first that fails ends all, and what was stored until then stays.

        Raises:
            SeedFailed: the server refused, or went away, or holds other bytes than were sent.
            Interrupted: the job was stopped.

        """
        equals: dict[Hashable, list[Item]] = {}
        for item in items:
            equals.setdefault(item.name if item.content is None else item.content, []).append(item)
        waiting = iter(equals.values())
        count = min(self._job.jobs, len(equals))
        done = in_parallel({f"connection {number}": lambda: self._work(waiting) for number in range(count)})
        errors = [result for result in done.values() if isinstance(result, Exception)]
        if errors:
            raise next((error for error in errors if not isinstance(error, _Ended)), errors[0])

    def _work(self, waiting: Iterator[list[Item]]) -> None:
        try:
            with Client(self._at) as client:
                while equal := self._next(waiting):
                    first, *others = equal
                    note = self._store(client, first)
                    for other in others:
                        self._go_on()
                        self._copy(client, first, other, note)
        except BaseException:
            self._failed.set()
            raise

    def _next(self, waiting: Iterator[list[Item]]) -> list[Item] | None:
        with self._lock:
            return next(waiting, None)

    def _go_on(self) -> None:
        self._job.go_on()
        if self._failed.is_set():
            raise _Ended

    def _store(self, client: Client, item: Item) -> Note:
        wanted = f"object {item.name} stored"
        stream = item.open()
        pieces = self._pieces(item, stream)
        answer = client.put(wanted, path(item.bucket, item.key), item.size, kind_of(item.key), pieces)
        if answer.status != OK:
            raise refused(wanted, answer)
        if not _MD5.fullmatch(answer.etag):
            found = f"the server gives it the ETag {answer.etag!r}, which is no MD5"
            raise SeedFailed(wanted, found, "let the server neither encrypt objects nor run with --no-compat")
        note = Note(item.size, answer.etag, stream.rows, item.changed)
        self._stored(item, note)
        return note

    def _copy(self, client: Client, source: Item, item: Item, note: Note) -> None:
        wanted = f"object {source.name} copied to {item.name}"
        header = {"x-amz-copy-source": path(source.bucket, source.key)}
        answer = client.request(wanted, ("PUT", path(item.bucket, item.key)), headers=header)
        if answer.status != OK or note.etag.encode() not in answer.body:
            raise refused(wanted, answer)
        self._stored(item, note)
        self._job.progress(0, item.size)

    def _stored(self, item: Item, note: Note) -> None:
        self._noted.add(item, note)
        if item.relation:
            self._job.facts.learn(item.relation, item.row, Fact(note.size, note.etag, note.rows))
        self._job.progress(1, 0)

    def _pieces(self, item: Item, stream: Stream) -> Iterator[Piece]:
        """The stream's pieces, counted, and told of when they were sent."""
        sent = 0
        for piece in stream:
            self._go_on()
            sent += len(piece)
            if sent > item.size:
                break
            yield piece
            self._job.progress(0, len(piece))
        if sent != item.size:
            raise ValueError(f"{item.origin}: {sent} bytes were made of {item.size}")

"""What stored objects turned out to be, kept in the journal, so that a later run knows them without their bytes."""

from __future__ import annotations

import threading
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from envctl.waiting import Deadline

if TYPE_CHECKING:
    from envctl.seeding.journal import Notes
    from envctl.services.minio.seeding.buckets import Stored
    from envctl.services.minio.seeding.plan import Item

_PAUSE = 1.0
"""Seconds between two writings: what is not noted when the process is killed is sent again."""

_SHARE = 20
"""The journal is written whole: never for more than a twentieth of the time."""

_PAGE = "stored"


@dataclass(frozen=True, slots=True)
class Note:
    """Of one object that the server holds for certain; `changed` is its file's time, 0 for a generated one."""

    size: int
    etag: str
    rows: int
    changed: int


class Noted:
    """The notes of one dataset, by `bucket/key`. Thread-safe."""

    def __init__(self, notes: Notes, digest: str) -> None:
        page = notes.get(_PAGE) or {}
        known = page.get("objects", {}) if page.get("digest") == digest else {}
        self._objects = {name: Note(*fields) for name, fields in known.items()}
        self._notes, self._digest = notes, digest
        self._lock, self._due, self._new = threading.Lock(), Deadline(_PAUSE), False

    def of(self, item: Item) -> Note | None:
        """What is known of it; nothing, if its file is another one now."""
        note = self._objects.get(item.name)
        return note if note and (note.size, note.changed) == (item.size, item.changed) else None

    def proves(self, item: Item, stored: Stored) -> bool:
        """Whether what the server holds is this item, whole."""
        note = self.of(item)
        return note is not None and (note.size, note.etag) == (stored.size, stored.etag)

    def add(self, item: Item, note: Note) -> None:
        """Remember it, and write all down when the last time is long enough ago."""
        with self._lock:
            self._objects[item.name], self._new = note, True
            if self._due.passed:
                self._write()

    def flush(self) -> None:
        """Write down what is not yet."""
        with self._lock:
            if self._new:
                self._write()

    def _write(self) -> None:
        spent = Deadline(0)
        objects = {name: astuple(note) for name, note in self._objects.items()}
        self._notes.set(**{_PAGE: {"digest": self._digest, "objects": objects}})
        self._new, self._due = False, Deadline(max(_PAUSE, _SHARE * spent.elapsed))

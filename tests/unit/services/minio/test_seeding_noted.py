"""What is noted of stored objects, and what it proves later."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from envctl.seeding.journal import Journal, Notes
from envctl.services.minio.seeding import noted
from envctl.services.minio.seeding.buckets import Stored
from envctl.services.minio.seeding.noted import Note, Noted
from envctl.services.minio.seeding.plan import Item, Stream
from envctl.state import StateFolder

if TYPE_CHECKING:
    from pathlib import Path


def nothing() -> Stream:
    """No bytes are needed here."""
    return cast("Stream", None)


ITEM = Item("lake", "in/1", 10, nothing, "row 1 of files", "files", 1)
NOTE = Note(10, "aa", 7, 0)


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    """A page of a journal."""
    folder = StateFolder("test", tmp_path)
    folder.create()
    return Journal(folder).notes("minio")


def again(tmp_path: Path) -> Notes:
    """The same page as another process reads it."""
    return Journal(StateFolder("test", tmp_path)).notes("minio")


def test_what_was_noted_proves_the_object_in_a_later_run(tmp_path: Path, notes: Notes) -> None:
    """By size and ETag; nothing else does."""
    first = Noted(notes, "digest")
    first.add(ITEM, NOTE)
    first.flush()
    later = Noted(again(tmp_path), "digest")
    assert later.of(ITEM) == NOTE
    assert later.proves(ITEM, Stored("in/1", 10, "aa"))
    assert not later.proves(ITEM, Stored("in/1", 10, "bb"))
    assert not later.proves(ITEM, Stored("in/1", 11, "aa"))


def test_what_was_noted_of_another_dataset_proves_nothing(tmp_path: Path, notes: Notes) -> None:
    """The same key may be another object there."""
    first = Noted(notes, "digest")
    first.add(ITEM, NOTE)
    first.flush()
    assert Noted(again(tmp_path), "another").of(ITEM) is None


def test_what_was_noted_of_a_file_that_changed_since_proves_nothing(notes: Notes) -> None:
    """Its bytes may be others now."""
    known = Noted(notes, "digest")
    before, after = (Item("lake", "a.csv", 5, nothing, "a.csv", changed=time) for time in (1, 2))
    known.add(before, Note(5, "aa", 0, 1))
    assert known.of(before)
    assert known.of(after) is None


def test_many_objects_are_written_down_at_once(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is written whole each time: a thousand small objects must not write it a thousand times."""
    monkeypatch.setattr(noted, "_PAUSE", 3600.0)
    known = Noted(notes, "digest")
    for number in range(1000):
        known.add(Item("lake", str(number), 10, nothing, "", "files", number), NOTE)
    assert notes.get("stored") is None
    known.flush()
    assert len(notes.get("stored")["objects"]) == 1000


def test_nothing_is_written_where_nothing_is_new(notes: Notes) -> None:
    """A load that finds all there leaves the journal alone."""
    Noted(notes, "digest").flush()
    assert notes.get("stored") is None

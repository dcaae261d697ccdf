"""Datasets in a real MinIO: loading, going on, verifying, removing."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from envctl.errors import Interrupted
from envctl.seeding.spec import Bucket, Dataset
from envctl.services.minio import MinioHandle
from tests.integration.services.seed_minio.runs import MINIO, RELATIONS, SENT, Seeding, bucket_of, etags, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_what_is_loaded_is_what_was_generated_and_what_is_in_the_folder(
    start: Callable[..., Seeding], own: Path
) -> None:
    """Byte for byte, read as the app identity, in a bucket that was made."""
    run = start()
    found = run.load()
    bucket = bucket_of(run)
    files = {f"{bucket}/mine/{path.relative_to(own)}": path.read_bytes() for path in own.rglob("*") if path.is_file()}
    assert {name: body for name, body in found.items() if "/mine/" in name} == files
    generated = {item.name: b"".join(item.open()) for item in run.loader._items if item.relation}
    assert {name: body for name, body in found.items() if "/in/" in name} == generated
    assert len(generated) == 9


def test_facts_are_those_of_what_is_stored(start: Callable[..., Seeding]) -> None:
    """Told by the load, without anybody making the objects again."""
    run = start()
    run.load()
    run.facts._compute = lambda relation, row: pytest.fail(f"{relation} {row} made again")
    stored = etags(run.at, bucket_of(run))
    items = [item for item in run.loader._items if item.relation]
    assert [run.facts.of("files", item.row).etag for item in items] == [stored[item.key] for item in items]


def test_progress_comes_to_what_size_said(start: Callable[..., Seeding]) -> None:
    """And comes while objects are sent, not only after each."""
    run = start()
    run.load()
    assert tuple(map(sum, zip(*run.told, strict=True))) == (run.loader.size().rows, run.loader.size().bytes)
    assert len(run.told) > 2 * run.loader.size().rows


def test_a_second_load_sends_nothing(start: Callable[..., Seeding]) -> None:
    """What is noted and there is not opened again, and its facts are known."""
    start().load()
    again = start()
    again.loader._items[:] = [replace(item, open=lambda: pytest.fail("opened")) for item in again.loader._items]
    again.load()
    again.facts._compute = lambda relation, row: pytest.fail(f"{relation} {row} made again")
    assert again.facts.of("files", 0).size == 300_000


def test_a_load_that_was_stopped_is_gone_on_from(start: Callable[..., Seeding]) -> None:
    """And comes to what an undisturbed one comes to; what was there is not sent again."""
    stop = threading.Event()
    first = start(jobs=1, stop=stop)
    first.on_progress = lambda: stop.set() if sum(rows for rows, _ in first.told) >= 5 else None
    with pytest.raises(Interrupted):
        first.load()
    there = len(etags(first.at, bucket_of(first)))
    assert 5 <= there < first.loader.size().rows
    second = start()
    found = second.load()
    bodies = {item.name: b"".join(item.open()) for item in second.loader._items}
    assert found == bodies


def test_after_a_load_nothing_is_in_the_way_and_all_is_present(start: Callable[..., Seeding]) -> None:
    """By the journal, or, where that is lost, by making the bytes."""
    run = start()
    assert not run.loader.present()
    run.load()
    assert run.loader.present()
    assert start().loader.conflicts() == []
    run.notes.set(stored=None)
    assert start().loader.conflicts() == []


def test_another_object_under_a_key_of_the_dataset_is_in_the_way(start: Callable[..., Seeding]) -> None:
    """Of another size, and of the same; and any in its folders, which are to hold the dataset alone."""
    run = start()
    bucket = bucket_of(run)
    MinioHandle(run.at).client().make_bucket(bucket)
    put(run.at, bucket, "in/00.jsonl", b"x")
    put(run.at, bucket, "mine/a.csv", b"0123456789")
    put(run.at, bucket, "in/other", b"x")
    put(run.at, bucket, "elsewhere/other", b"x")
    told = run.loader.conflicts()
    assert [line.split(" is there")[0] for line in told] == [
        f"object {bucket}/mine/a.csv",
        f"object {bucket}/in/00.jsonl",
        f"object {bucket}/in/other",
    ]


def test_the_manifest_sees_what_changed_since(start: Callable[..., Seeding]) -> None:
    """The first object by its key is named."""
    run = start()
    run.load()
    recorded, bucket = run.loader.measure(), bucket_of(run)
    assert run.loader.difference(recorded, start().loader.measure()) == ""
    assert recorded[bucket]["rows"] == run.loader.size().rows
    put(run.at, bucket, "in/99", b"x")
    put(run.at, bucket, "elsewhere/x", b"x")
    told = f"object {bucket}/in/99 is there and was not loaded"
    assert run.loader.difference(recorded, run.loader.measure()) == told
    put(run.at, bucket, "in/01.csv", bytes(300_000))
    assert run.loader.difference(recorded, run.loader.measure()).startswith(
        f"object {bucket}/in/01.csv has other bytes: ETag "
    )


def test_what_somebody_changed_or_removed_is_stored_again(start: Callable[..., Seeding]) -> None:
    """A load makes whole what is not."""
    run = start()
    found, bucket = run.load(), bucket_of(run)
    put(run.at, bucket, "in/01.csv", bytes(300_000))
    MinioHandle(run.at).client().remove_object(bucket, "mine/a.csv")
    assert start().load() == found


def test_clearing_removes_what_is_in_the_datasets_folders_and_nothing_else(start: Callable[..., Seeding]) -> None:
    """As a table goes with the rows that came later. The bucket goes too, when nobody has put anything into it."""
    run = start()
    footprint, bucket = run.loader.footprint(), bucket_of(run)
    run.load()
    put(run.at, bucket, "in/later", b"x")
    put(run.at, bucket, "theirs/x", b"x")
    count = run.loader.size().rows
    assert MINIO.clear(run.at, footprint) == f"{count + 1} objects"
    assert list(etags(run.at, bucket)) == ["theirs/x"]
    MinioHandle(run.at).client().remove_object(bucket, "theirs/x")
    assert MINIO.clear(run.at, footprint) == "1 bucket"
    assert MINIO.clear(run.at, footprint) == ""


def test_a_bucket_that_was_there_before_stays(start: Callable[..., Seeding]) -> None:
    """The dataset made none."""
    run = start()
    MinioHandle(run.at).client().make_bucket(bucket_of(run))
    footprint = run.loader.footprint()
    assert footprint["buckets"] == []
    run.load()
    MINIO.clear(run.at, footprint)
    assert MinioHandle(run.at).client().bucket_exists(bucket_of(run))


def test_a_bucket_that_was_made_by_a_run_that_was_killed_is_still_the_datasets(start: Callable[..., Seeding]) -> None:
    """A later run finds it and knows whose it is."""
    run = start()
    run.load()
    assert start().loader.footprint()["buckets"] == [bucket_of(run)]


def test_more_objects_than_one_request_names_are_listed_and_removed(
    start: Callable[..., Seeding], dataset: Dataset
) -> None:
    """Both take a thousand at once."""
    (name,) = dataset.buckets
    relations = {**RELATIONS, "files": replace(RELATIONS["files"], rows=1100)}
    small = replace(SENT, size=4096, key='f"in/{row:04}.{format}"', format="'csv'", content_of="row % 3")
    many = replace(dataset, relations=relations, buckets={name: Bucket(name, objects=(small,))})
    run = start(data=many)
    footprint = run.loader.footprint()
    run.loader.load()
    assert run.loader.measure()[name]["rows"] == len(etags(run.at, name)) == 1100
    assert MINIO.clear(run.at, footprint) == "1,100 objects, 1 bucket"

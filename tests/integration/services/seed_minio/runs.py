"""Runs of MinIO's loader, and what somebody else sees in the buckets."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envctl.seeding.facts import Facts
from envctl.seeding.journal import Journal
from envctl.seeding.loading import Job
from envctl.seeding.objects import compute
from envctl.seeding.spec import Dataset, Objects, Relation
from envctl.seeding.world import World
from envctl.services.minio import Minio, MinioHandle
from envctl.services.minio.seeding.buckets import listed
from envctl.services.minio.seeding.client import Client
from envctl.state import StateFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from envctl.model import Endpoint
    from envctl.services.minio.seeding import MinioLoader

MINIO = Minio()
RELATIONS = {
    "files": Relation(
        "files",
        {
            "format": 'pick(["jsonl", "csv", "parquet"], row % 3)',
            "defect": 'pick(["none", "none", "none", "empty"], row % 4)',
            "same": "row - 4 if row == 8 else row",
        },
        rows=9,
    ),
    "records": Relation("records", {"id": "row", "value": "number(0, 1000000)"}, per="files", open=True),
}
SENT = Objects(
    relation="files",
    key='f"in/{row:02}.{format}"',
    size=300_000,
    format="format",
    content="records",
    versions={"1": {"id": "id", "value": "value"}},
    version="1",
    content_of="same",
    defect="defect",
)


@dataclass
class Seeding:
    """One run of the loader, with the journal that runs share."""

    at: Endpoint
    dataset: Dataset
    folder: Path
    jobs: int = 2
    stop: threading.Event = field(default_factory=threading.Event)
    told: list[tuple[int, int]] = field(default_factory=list)
    on_progress: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        world = World(self.dataset)
        self.facts = Facts(compute(world, self.dataset))
        world.facts = self.facts.columns
        state = StateFolder("test", self.folder)
        state.create()
        self.notes = Journal(state).notes("minio")
        job = Job(self.dataset, world, self.facts, self.notes, self._progress, self.jobs, self.stop)
        self.loader: MinioLoader = MINIO.loader(self.at, job)

    def _progress(self, rows: int, size: int) -> None:
        self.told.append((rows, size))
        self.on_progress()

    def load(self) -> dict[str, bytes]:
        """Load; what is in the dataset's buckets then."""
        self.loader.load()
        return content(self.at, *self.dataset.buckets)


def content(at: Endpoint, *buckets: str) -> dict[str, bytes]:
    """All objects by `bucket/key`, read by another client as the app identity."""
    client = MinioHandle(at).client()
    found = {}
    for bucket in buckets:
        for entry in client.list_objects(bucket, recursive=True):
            with client.get_object(bucket, entry.object_name) as response:
                found[f"{bucket}/{entry.object_name}"] = response.data
    return found


def etags(at: Endpoint, bucket: str) -> dict[str, str]:
    """The server's own list."""
    with Client(at) as client:
        return {found.key: found.etag for found in listed(client, bucket)}


def put(at: Endpoint, bucket: str, key: str, body: bytes) -> None:
    """Somebody else's object."""
    MinioHandle(at).client().put_object(bucket, key, io.BytesIO(body), len(body))


def bucket_of(run: Seeding) -> str:
    """The one bucket of the dataset."""
    (name,) = run.dataset.buckets
    return name

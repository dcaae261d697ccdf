"""A server, a dataset in a bucket of each test's own, and runs that share a journal."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from envctl.seeding.spec import Bucket, Dataset, Folder
from envctl.services.minio import MinioHandle
from tests.integration.services.seed_minio.runs import MINIO, RELATIONS, SENT, Seeding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from envctl.model import Endpoint
    from tests.integration.services.conftest import Running


@pytest.fixture(scope="module")
def server(running_service: Callable[..., AbstractContextManager[Running]]) -> Iterator[Running]:
    """One server for the module, ready."""
    with running_service(MINIO) as running:
        yield running.ready()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's folder with a few files."""
    for name, size in {"a.csv": 10, "deep/b.bin": 3_000_000, "empty": 0, "sp ace+ü&<x>.txt": 5}.items():
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(hashlib.sha256(name.encode()).digest() * (size // 32 + 1))
        with path.open("r+b") as file:
            file.truncate(size)
    return tmp_path / "own"


@pytest.fixture
def dataset(own: Path, request: pytest.FixtureRequest) -> Dataset:
    """Generated objects and a folder, in a bucket of each test's own."""
    name = "b-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    bucket = Bucket(name, (Folder(own, "mine/"),), (SENT,))
    return Dataset("own", own / "own.yaml", digest="one", relations=RELATIONS, buckets={name: bucket})


@pytest.fixture
def start(server: Running, dataset: Dataset, tmp_path: Path) -> Iterator[Callable[..., Seeding]]:
    """Starts runs that share a journal; removes what they loaded."""

    def run(at: Endpoint = server.at, data: Dataset = dataset, **options: object) -> Seeding:
        return Seeding(at, data, tmp_path / "state", **options)

    yield run
    client = MinioHandle(server.at).client()
    for bucket in {found.name for found in client.list_buckets()} - {"app"}:
        for entry in client.list_objects(bucket, recursive=True):
            client.remove_object(bucket, entry.object_name)
        client.remove_bucket(bucket)

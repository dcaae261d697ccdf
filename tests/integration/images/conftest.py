"""A real engine, real registries on this machine, and tiny images that are always removed."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import tarfile
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import docker
import docker.errors
import pytest

from envctl import events
from envctl.engine import connect
from envctl.engine.images import Catalogue, Workshop, load
from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def address() -> connect.Address:
    """The engine of this machine."""
    return connect.locate()


@pytest.fixture(scope="session")
def api(address: connect.Address) -> Iterator[docker.APIClient]:
    """A client of that engine; the tests observe through it."""
    client = connect.client(address)
    yield client
    client.close()


@pytest.fixture
def repo(api: docker.APIClient) -> Iterator[str]:
    """A repository of this test's own; every image under it is removed at the end, wherever it is named."""
    name = f"envctl-test/{uuid.uuid4().hex[:10]}"
    yield name
    for image in api.images():
        for tag in [*(image.get("RepoTags") or []), *(image.get("RepoDigests") or [])]:
            if name in tag and "<none>" not in tag:
                with suppress(docker.errors.ImageNotFound):
                    api.remove_image(tag, force=True)


@pytest.fixture(scope="session")
def stone(api: docker.APIClient) -> Iterator[str]:
    """The smallest parent: an image with one file and nothing that could run."""
    name = f"envctl-test/stone-{uuid.uuid4().hex[:10]}"
    api.import_image_from_data(tar({"stone": b"a stone"}), repository=name, tag="1")
    yield f"{name}:1"
    api.remove_image(f"{name}:1", force=True)


@pytest.fixture(scope="session", name="tar")
def tar_fixture() -> Callable[[dict[str, bytes]], bytes]:
    """The maker of archives, for tests that publish images of their own."""
    return tar


def tar(files: dict[str, bytes]) -> bytes:
    """An archive of these files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


class Heard(list[tuple[str, dict[str, Any]]]):
    """Every event of a test, in order."""

    def named(self, event: str) -> list[dict[str, Any]]:
        """The data of all events of one name."""
        return [data for name, data in self if name == event]


@pytest.fixture
def heard() -> Iterator[Heard]:
    """What the library said while the test ran."""
    record = Heard()
    with events.listening(lambda name, data: record.append((name, data))):
        yield record


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """A folder for Dockerfiles and their table."""
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


@pytest.fixture
def table(recipes: Path, repo: str) -> Callable[..., Catalogue]:
    """Write a table of images: name → fields, `dockerfile` among them; tags are made up from the test's repository."""
    import yaml

    def write(**images: dict[str, Any]) -> Catalogue:
        entries = {}
        for name, given in images.items():
            fields = {"tag": f"{repo}/{name}:1", "service": name, **given}
            if dockerfile := fields.pop("dockerfile", None):
                (recipes / name).mkdir(exist_ok=True)
                (recipes / name / "Dockerfile").write_text(dockerfile)
                fields["context"] = name
            entries[name] = fields
        (recipes / "images.yaml").write_text(yaml.safe_dump({"images": entries}, sort_keys=False))
        return load(recipes / "images.yaml")

    return write


@pytest.fixture
def shop(address: connect.Address, api: docker.APIClient, tmp_path: Path) -> Callable[..., Workshop]:
    """A workshop for a table, with a folder of the test's own."""

    def open_shop(catalogue: Catalogue, **options: Any) -> Workshop:  # noqa: ANN401 - fields of Workshop
        return Workshop(address, api, catalogue, tmp_path / "workshop", **options)

    return open_shop


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def registry_command(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """The address of a real registry (Debian's `docker-registry`), and how to serve it; it keeps what was pushed."""
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    return f"127.0.0.1:{port}", [_registry_program(), "serve", str(config)]


@pytest.fixture(scope="session")
def registry(registry_command: tuple[str, list[str]]) -> Iterator[str]:
    """The address of that registry, which is up."""
    address, command = registry_command
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _answers(address), 120, "the registry")
        yield address
    finally:
        process.kill()
        process.wait()


def _registry_program() -> str:
    """Its path; installed from the system's packages where it is missing and we may."""
    if shutil.which("docker-registry") is None:
        install = ["apt-get", "install", "-y", "--no-install-recommends", "docker-registry"]
        subprocess.run(
            install, check=True, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        )
    return shutil.which("docker-registry") or "docker-registry"


def _answers(address: str) -> None:
    try:
        urllib.request.urlopen(f"http://{address}/v2/", timeout=2).close()
    except (urllib.error.URLError, OSError) as error:
        raise NotReady(str(error)) from error


@pytest.fixture
def published(api: docker.APIClient, registry: str, repo: str) -> tuple[str, str]:
    """A tiny image in that registry and nowhere else: its reference with tag, and its digest."""
    name = f"{registry}/{repo}/pebble"
    api.import_image_from_data(tar({"pebble": uuid.uuid4().bytes}), repository=name, tag="1")
    said = list(api.push(name, "1", stream=True, decode=True))
    digest = next(line["aux"]["Digest"] for line in said if "aux" in line)
    api.remove_image(f"{name}:1", force=True)
    return f"{name}:1", digest

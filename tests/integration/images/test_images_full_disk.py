"""An engine whose disk is full: a second one, on a file system of 32 MB, with a real registry beside it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import docker
import pytest

from envctl.engine.connect import Address
from envctl.engine.images import Workshop, resolve
from envctl.errors import DiskFull
from envctl.model import ImageSource
from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Maker = Callable[..., Any]

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("dockerd") is None, reason="a second engine needs root and a dockerd"
)


@pytest.fixture
def small_engine(
    tmp_path_factory: pytest.TempPathFactory, registry_command: tuple[str, list[str]]
) -> Iterator[Address]:
    """An engine with its data on a tmpfs, and the registry beside it, both in a network namespace of their own: a
    second engine beside the first one would take the bridge `docker0` away from it.
    """
    folder = tmp_path_factory.mktemp("engine")
    disk, address = folder / "disk", Address(f"unix://{folder}/s", "test")
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)], check=True)
    options = (
        f"--data-root {disk}/d --exec-root {folder}/x --pidfile {folder}/pid -H {address.url} --storage-driver vfs"
    )
    serve = (
        f"ip link set lo up; {shlex.join(registry_command[1])} & exec dockerd --bridge none --iptables=false {options}"
    )
    apart = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", serve]
    try:
        with (folder / "log").open("wb") as log, subprocess.Popen(apart, stdout=log, stderr=log) as process:
            try:
                until(lambda: _answers(address), 120, "the small engine")
                yield address
            finally:
                process.kill()
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _answers(address: Address) -> None:
    asked = subprocess.run(["docker", "--host", address.url, "version"], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise NotReady(asked.stderr)


@pytest.fixture
def boulder(api: docker.APIClient, registry: str, repo: str, tar: Callable[[dict[str, bytes]], bytes]) -> str:
    """An image of 48 MB that does not shrink, in the registry."""
    name = f"{registry}/{repo}/boulder"
    api.import_image_from_data(tar({"boulder": os.urandom(48_000_000)}), repository=name, tag="1")
    assert not [line for line in api.push(name, "1", stream=True, decode=True) if "error" in line]
    api.remove_image(f"{name}:1", force=True)
    return f"{name}:1"


def test_an_image_that_does_not_fit_is_a_full_disk(
    small_engine: Address, boulder: str, table: Maker, tmp_path: Path
) -> None:
    """The engine runs out of space in the middle of the pull; its own words become the error."""
    small = docker.APIClient(small_engine.url, version="auto")
    try:
        workshop = Workshop(small_engine, small, table(boulder={"official": boulder}), tmp_path / "workshop")
        with pytest.raises(DiskFull, match="no space left on device"):
            resolve(workshop, ["boulder"], ImageSource.REGISTRY)
        assert small.images() == []
    finally:
        small.close()


def test_an_image_that_cannot_fit_is_not_even_begun(
    small_engine: Address, boulder: str, table: Maker, tmp_path: Path
) -> None:
    """Where the size is known, the engine's disk is looked at first."""
    small = docker.APIClient(small_engine.url, version="auto")
    try:
        catalogue = table(boulder={"official": boulder, "size": 48})
        with pytest.raises(DiskFull, match="GB free at"):
            resolve(Workshop(small_engine, small, catalogue, tmp_path / "workshop"), ["boulder"], ImageSource.REGISTRY)
    finally:
        small.close()

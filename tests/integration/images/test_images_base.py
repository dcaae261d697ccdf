"""The base image, by the real debootstrap."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from envctl.engine.images import Stock, build_all
from envctl.errors import BuildFailed
from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

    from tests.integration.images.conftest import Heard

    Maker = Callable[..., Any]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap needs root")

INTERRUPTED = """
import sys
from pathlib import Path
from envctl import events
from envctl.engine import connect
from envctl.engine.images import Workshop, build_all, load
address = connect.locate()
shop = Workshop(address, connect.client(address), load(Path(sys.argv[1])), Path(sys.argv[2]))
with events.listening(lambda name, data: print(data.get("step"), flush=True)):
    build_all(shop, ["base"])
"""


def processes_in(folder: Path) -> None:
    """Return when no process names this folder."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            named = str(folder) in entry.read_text(errors="replace")
        except OSError:  # it ended while we looked
            continue
        if named:
            raise NotReady(f"{entry.parent.name} still runs")


def test_the_base_is_bootstrapped_and_leaves_no_folder(
    table: Maker, shop: Maker, tmp_path: Path, api: docker.APIClient, repo: str, heard: Heard
) -> None:
    """A minimal Debian that runs, labelled with its recipe, found again without work; 30 s."""
    workshop = shop(table(base={"tag": f"{repo}/base:trixie", "service": ""}))
    build_all(workshop, ["base"])

    assert not (tmp_path / "workshop" / "base").exists()
    stored = Stock.look(api).built(workshop, workshop.catalogue["base"])
    assert stored is not None
    assert stored.size < 250_000_000
    container = api.create_container(
        f"{repo}/base:trixie", command=["sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME"]
    )
    try:
        api.start(container)
        api.wait(container)
        assert api.logs(container) == b"trixie\n"
    finally:
        api.remove_container(container, force=True)
    heard.clear()
    build_all(workshop, ["base"])
    assert heard == []


def test_an_interrupted_bootstrap_leaves_nothing(
    table: Maker, recipes: Path, tmp_path: Path, api: docker.APIClient, repo: str
) -> None:
    """SIGKILL while packages are unpacked: no process stays, and the next run clears the folder first."""
    table(base={"tag": f"{repo}/base:trixie", "service": ""})
    folder = tmp_path / "workshop"
    command = [sys.executable, "-c", INTERRUPTED, str(recipes / "images.yaml"), str(folder)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=Path(__file__).parents[3]
    )
    with process:
        try:
            assert process.stdout is not None
            next(line for line in process.stdout if "xtracting" in line)
        finally:
            process.kill()
    until(lambda: processes_in(folder / "base"), 120, "debootstrap gone")
    assert not [tag for image in Stock.look(api).images for tag in image.tags if tag.startswith(repo)]


def test_a_mirror_that_is_none_is_a_clear_error(table: Maker, shop: Maker, tmp_path: Path, repo: str) -> None:
    """The program's own last words, and nothing left on disk."""
    environ = {**os.environ, "ENVCTL_DEBIAN_MIRROR": "http://127.0.0.1:1/debian"}
    workshop = shop(table(base={"tag": f"{repo}/base:trixie", "service": ""}), environ=environ)

    with pytest.raises(BuildFailed, match=r"127\.0\.0\.1:1") as caught:
        build_all(workshop, ["base"])

    assert "ENVCTL_DEBIAN_MIRROR" in caught.value.advice
    assert not (tmp_path / "workshop" / "base").exists()

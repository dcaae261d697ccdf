"""Building, with the real BuildKit and tiny recipes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from envctl import events
from envctl.engine.images import Origin, Stock, Workshop, build_all, list_images, load, prune, resolve
from envctl.errors import BuildFailed, DiskFull
from envctl.model import ImageSource
from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

    from envctl.engine.connect import Address
    from tests.integration.images.conftest import Heard

    Maker = Callable[..., Any]

STONE = "ARG BASE\nFROM ${BASE}\nCOPY Dockerfile /made\n"
BASE = "envctl/base:trixie"

PATIENCE = 120.0
"""Seconds until something that should come counts as missing; machines that run tests are busy."""


@pytest.fixture(autouse=True, scope="session")
def base(address: Address, api: docker.APIClient, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The shipped base image, made first on a machine that has none."""
    table = load(Path(__file__).parents[3] / "compose" / "images" / "images.yaml")
    if Stock.look(api).tagged(table["base"].tag) is None:
        build_all(Workshop(address, api, table, tmp_path_factory.mktemp("base")), ["base"])


@pytest.fixture
def family(table: Maker, shop: Maker, stone: str, repo: str) -> Callable[[str], Any]:
    """A workshop with a parent, its child, and a stranger; the argument changes the parent's recipe."""

    def write(change: str) -> Any:  # noqa: ANN401 - a Workshop
        return shop(
            table(
                parent={"dockerfile": f"{STONE}# {change}\n", "args": {"BASE": stone}, "seconds": 1},
                child={"dockerfile": STONE, "args": {"BASE": f"{repo}/parent:1"}, "parents": ["parent"], "seconds": 2},
                stranger={"dockerfile": STONE, "args": {"BASE": stone}, "seconds": 5},
            )
        )

    return write


def ids(api: docker.APIClient, repo: str) -> dict[str, str]:
    """The test's images by tag."""
    return {tag: image.id for image in Stock.look(api).images for tag in image.tags if tag.startswith(repo)}


def test_parents_come_first_and_a_second_build_does_nothing(family: Maker, heard: Heard) -> None:
    """Building the child makes the parent; when all are there, not a single event follows."""
    workshop = family("first")
    build_all(workshop, ["child", "stranger"])
    built = [data["image"].rpartition("/")[2] for data in heard.named("image.built")]
    heard.clear()

    build_all(workshop, ["child", "stranger"])

    assert built.index("parent:1") < built.index("child:1")
    assert "stranger:1" in built
    assert heard == []


def test_a_changed_recipe_rebuilds_just_it_and_its_children(
    family: Maker, heard: Heard, api: docker.APIClient, repo: str
) -> None:
    """The stranger stays the very image that it was; the list said what was out of date."""
    build_all(family("first"), ["child", "stranger"])
    before = ids(api, repo)
    changed = family("second")
    outdated = {row.name for row in list_images(changed) if "older recipe" in row.origin}
    heard.clear()

    build_all(changed, ["child", "stranger"])

    assert outdated == {"parent", "child"}
    assert [data["image"] for data in heard.named("image.built")] == [f"{repo}/parent:1", f"{repo}/child:1"]
    after = ids(api, repo)
    assert after[f"{repo}/stranger:1"] == before[f"{repo}/stranger:1"]
    assert after[f"{repo}/child:1"] != before[f"{repo}/child:1"]


def test_prune_removes_old_builds_that_nobody_uses(family: Maker, api: docker.APIClient, repo: str) -> None:
    """The former parent goes; the former child stays while a container uses it; a user's image on ours stays."""
    build_all(family("first"), ["child", "stranger"])
    container = api.create_container(f"{repo}/child:1", command=["none"])["Id"]
    changed = family("second")
    build_all(changed, ["child", "stranger"])
    api.tag(f"{repo}/stranger:1", f"{repo}/the-users-own", "1")
    current = {tag: identity for tag, identity in ids(api, repo).items() if ":old-" not in tag}
    try:
        kept = {row.name.rpartition("/")[2].partition(":")[0]: row.reason for row in prune(changed)}
    finally:
        api.remove_container(container)

    assert kept == {"parent": "", "child": "a container uses it"}
    assert [row.reason for row in prune(changed)] == [""]
    assert ids(api, repo) == current


def test_an_image_that_a_user_built_on_ours_is_the_users(family: Maker, api: docker.APIClient, repo: str) -> None:
    """It inherits envctl's labels; its origin is unknown to us, and `prune` leaves it."""
    workshop = family("first")
    build_all(workshop, ["parent"])
    recipe = io.BytesIO(f"FROM {repo}/parent:1\nENV MINE=1\n".encode())
    for line in api.build(fileobj=recipe, tag=f"{repo}/mine:1", decode=True, rm=True, forcerm=True):
        assert "error" not in line

    mine = next(image for image in Stock.look(api).images if f"{repo}/mine:1" in image.tags)
    assert mine.kind == f"{repo}/parent"
    assert mine.origin == (Origin.UNKNOWN, "")
    prune(family("second"))
    assert f"{repo}/mine:1" in ids(api, repo)


def test_a_failing_step_names_image_step_and_last_lines(
    table: Maker, shop: Maker, api: docker.APIClient, repo: str
) -> None:
    """The error reads like the log's end, and no tag was made."""
    dockerfile = f"FROM {BASE}\nRUN echo the reason is here && exit 7\n"

    with pytest.raises(BuildFailed) as caught:
        build_all(shop(table(broken={"dockerfile": dockerfile})), ["broken"])

    assert caught.value.wanted == f"build {repo}/broken:1"
    assert "RUN echo the reason is here && exit 7\n         | the reason is here\n" in caught.value.found
    assert "exit code: 7" in caught.value.found
    assert ids(api, repo) == {}


def test_a_full_disk_is_told_from_other_failures(table: Maker, shop: Maker) -> None:
    """The kernel's own words in a step's output (here from the build container's 64 MB /dev/shm)."""
    dockerfile = f"FROM {BASE}\nRUN head -c 80M /dev/zero >/dev/shm/full\n"

    with pytest.raises(DiskFull, match="No space left on device"):
        build_all(shop(table(huge={"dockerfile": dockerfile})), ["huge"])


def test_too_little_space_is_said_before_work_begins(table: Maker, shop: Maker, stone: str, heard: Heard) -> None:
    """An image larger than the disk: no step starts."""
    catalogue = table(huge={"dockerfile": STONE, "args": {"BASE": stone}, "size": 10**9})

    with pytest.raises(DiskFull, match="GB needed"):
        build_all(shop(catalogue), ["huge"])

    assert heard == []


def test_the_hosts_certificates_reach_a_build_and_not_the_image(
    table: Maker, shop: Maker, tmp_path: Path, api: docker.APIClient, repo: str
) -> None:
    """The bundle is a secret of the step; proxies and mirrors are arguments that no process list shows."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("certificates of this host")
    environ = {**os.environ, "SSL_CERT_FILE": str(bundle), "HTTPS_PROXY": "http://u:hidden-word@proxy.invalid:1"}
    dockerfile = (
        f"FROM {BASE}\nRUN --mount=type=secret,id=ca grep -q certificates /run/secrets/ca"
        ' && test "$HTTPS_PROXY" = "http://u:hidden-$(echo word)@proxy.invalid:1" && sleep 1\n'
    )

    def watch(event: str, data: dict[str, object]) -> None:
        if "sleep 1" in str(data.get("step")):
            nobody_runs("hidden-word")
            watched.append(event)

    watched: list[str] = []
    with events.listening(watch):
        build_all(shop(table(curious={"dockerfile": dockerfile}), environ=environ), ["curious"])

    assert watched == ["image.building"]
    assert "hidden-word" not in json.dumps(api.history(f"{repo}/curious:1"))


WORKER = """
import json, sys
from pathlib import Path
from envctl import events
from envctl.engine import connect
from envctl.engine.images import Workshop, build_all, load
address = connect.locate()
shop = Workshop(address, connect.client(address), load(Path(sys.argv[1])), Path(sys.argv[2]))
with events.listening(lambda name, data: print(json.dumps({"event": name, **data}), flush=True)):
    build_all(shop, sys.argv[3:])
"""


@contextlib.contextmanager
def another_process(recipes: Path, folder: Path, *names: str) -> Iterator[subprocess.Popen[str]]:
    """A process that builds `names`; ended at the latest with the block."""
    command = [sys.executable, "-c", WORKER, str(recipes / "images.yaml"), str(folder), *names]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=Path(__file__).parents[3]
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """All events of a process until its end."""
    return [json.loads(line) for line in process.stdout or ()]


def running(mark: str) -> list[str]:
    """Processes whose command line mentions `mark`, inside containers included."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "cmdline").read_text(errors="replace").replace("\0", " "):
                found.append(folder.name)
    return found


def somebody_runs(mark: str) -> None:
    """Return when there is such a process."""
    if not running(mark):
        raise NotReady("nobody runs it")


def nobody_runs(mark: str) -> None:
    """Return when there is none."""
    if found := running(mark):
        raise NotReady(f"{', '.join(found)} still runs")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing_and_continues(
    table: Maker, shop: Maker, recipes: Path, tmp_path: Path, api: docker.APIClient, repo: str, number: signal.Signals
) -> None:
    """Ctrl-C, or a kill, in the second step: no process, no tag. The next build does not repeat the first step."""
    cache, pause = f"--mount=type=cache,id={repo},target=/c", f"600.{int(repo.rpartition('/')[2], 16)}"
    dockerfile = (
        f"FROM {BASE}\nRUN {cache} echo once >>/c/first && cp /c/first /first\n"
        f"RUN {cache} : {repo}; test -e /c/second || {{ touch /c/second; sleep {pause}; }}\n"
        f"RUN {cache} test $(wc -l </c/first) = 1\n"
    )
    workshop = shop(table(long={"dockerfile": dockerfile}))

    with another_process(recipes, tmp_path / "workshop", "long") as process:
        # The shell's own command line holds the words too, but does not begin with them.
        until(lambda: somebody_runs(f"sleep {pause} "), PATIENCE, "the second step")
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
        until(lambda: nobody_runs(repo), PATIENCE, "all processes of the build gone")
    assert ids(api, repo) == {}

    build_all(workshop, ["long"])
    assert list(ids(api, repo)) == [f"{repo}/long:1"]


def test_two_processes_build_an_image_once(table: Maker, recipes: Path, tmp_path: Path, stone: str, repo: str) -> None:
    """The second waits for the first, says so, and finds the image."""
    nap = f"sleep 600.{int(repo.rpartition('/')[2], 16)}"
    table(
        slow={"dockerfile": f"FROM {BASE}\nRUN : {repo}; {nap} || true\n"},
        other={"dockerfile": STONE, "args": {"BASE": stone}},
    )
    with another_process(recipes, tmp_path / "workshop", "slow") as first:
        until(lambda: somebody_runs(f"{nap} "), PATIENCE, "the build")
        with another_process(recipes, tmp_path / "workshop", "slow") as second:
            assert second.stdout
            assert json.loads(second.stdout.readline())["event"] == "image.waiting"
            # Only the nap itself: the shell's command line goes on after it.
            for process in running(f"{nap} "):
                if (Path("/proc") / process / "comm").read_text() == "sleep\n":
                    os.kill(int(process), signal.SIGKILL)
            assert [event["event"] for event in said(first)].count("image.built") == 1
            assert said(second) == []


def test_a_build_stops_when_its_sibling_fails(table: Maker, shop: Maker, api: docker.APIClient, repo: str) -> None:
    """The first failure is the error; nobody waits for what takes longer."""
    catalogue = table(
        long={"dockerfile": f"FROM {BASE}\nRUN : {repo}; sleep 600\n", "seconds": 9},
        broken={"dockerfile": f"FROM {BASE}\nRUN : {repo}; sleep 1; exit 1\n"},
    )
    with pytest.raises(BuildFailed, match="exit 1"):
        build_all(shop(catalogue), ["long", "broken"])

    until(lambda: nobody_runs(repo), PATIENCE, "all processes of the build gone")
    assert ids(api, repo) == {}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("image-")]


def test_packages_never_asks_a_registry(table: Maker, shop: Maker, stone: str, heard: Heard) -> None:
    """Forced to build, although the official image is said to exist."""
    recipe = {"dockerfile": STONE, "args": {"BASE": stone}, "official": "registry.invalid/pebble:1"}

    images = resolve(shop(table(pebble=recipe)), ["pebble"], ImageSource.PACKAGES)

    assert str(images[0]).startswith("built from packages (20")
    assert {name for name, _ in heard} == {"image.building", "image.built"}

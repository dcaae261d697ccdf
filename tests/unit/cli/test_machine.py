"""`doctor` and `images`: what the engine's room says, shown; the looking itself is tested there."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from envctl.cli.verbs import images as images_verbs
from envctl.engine import doctor
from envctl.engine import images as engine_images
from envctl.engine.doctor import Action, Finding, Level
from envctl.engine.images import ImageRow, Pruned
from envctl.errors import RateLimited, RegistryUnreachable, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable

    from envctl.engine.images import Wish
    from tests.unit.cli.conftest import Cli

FINE = Finding("python", Level.OK, "3.11", "supported")
NO_ENGINE = Finding("engine", Level.FAIL, "no answer", "nothing can run", "start it", exit_code=4)
FULL = Finding("disk", Level.FAIL, "1 GB", "too little", "free some")


@pytest.mark.parametrize(
    ("findings", "code"), [([FINE], 0), ([FINE, FULL], 1), ([FULL, NO_ENGINE], 4), ([NO_ENGINE, FULL], 4)]
)
def test_doctor_ends_with_what_the_worst_finding_means(
    envctl_run: Cli, monkeypatch: pytest.MonkeyPatch, findings: list[Finding], code: int
) -> None:
    """4 for the engine, 1 for anything else that fails, and the same in the document."""
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    assert envctl_run("doctor").code == code
    ended = envctl_run("doctor", "--json")
    document = json.loads(ended.out)
    assert (ended.code, document["exit_code"], document["ok"]) == (code, code, code == 0)
    assert [finding["check"] for finding in document["findings"]] == [finding.check for finding in findings]


def test_doctor_shows_state_meaning_and_what_to_do(envctl_run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice stands under its finding, and only where there is one."""
    monkeypatch.setattr(doctor, "examine", lambda: [FINE, FULL])
    assert envctl_run("doctor").out == (
        "ok    python  3.11: supported\nfail  disk    1 GB: too little\n              do: free some\n"
    )


def test_doctor_says_each_thing_that_it_mended(envctl_run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it happens to people, afterwards to machines."""

    def fix(report: Callable[[str], None]) -> list[Action]:
        report("installing docker")
        return [Action("installed docker", "apt-get install docker.io", 3.0)]

    monkeypatch.setattr(doctor, "fix", fix)
    monkeypatch.setattr(doctor, "examine", lambda: [FINE])
    assert envctl_run("doctor", "--fix").out.startswith("installing docker\n")
    (action,) = json.loads(envctl_run("doctor", "--fix", "--json").out)["actions"]
    assert action["command"] == "apt-get install docker.io"


class _Catalogue(dict[str, Any]):
    """The table of images as far as the verbs look at it."""

    @property
    def images(self) -> dict[str, Any]:
        return self

    def __missing__(self, name: str) -> NoReturn:
        raise UnknownName("image", name, self)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A workshop with two images, of which no registry holds the second."""
    official = SimpleNamespace(at=lambda _mirror: "redis:8")
    catalogue = _Catalogue(
        redis=SimpleNamespace(service="redis", official=official, size=1),
        tools=SimpleNamespace(service="tools", official=None, size=1),
    )
    shop = SimpleNamespace(catalogue=catalogue, mirror=None)
    monkeypatch.setattr(images_verbs, "_shop", lambda _run: shop)
    return shop


@pytest.mark.usefixtures("shop")
def test_images_list_says_where_each_came_from(envctl_run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """`images` alone lists too."""
    row = ImageRow("redis", "redis", "redis:8", "pulled (sha256:ab)", 130_000_000, "2025-01-01T00:00:00Z")
    monkeypatch.setattr(engine_images, "list_images", lambda _shop: [row])
    out = envctl_run("images", "list").out
    assert out.splitlines()[1] == "redis  pulled (sha256:ab)  130 MB  2025-01-01  redis:8"
    assert envctl_run("images").out == out
    (document,) = json.loads(envctl_run("images", "list", "--json").out)["images"]
    assert document["origin"] == "pulled (sha256:ab)"


@pytest.mark.usefixtures("shop")
def test_images_build_builds_all_or_those_named(envctl_run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table decides what all are."""
    built: list[list[str]] = []
    monkeypatch.setattr(engine_images, "build_all", lambda _shop, names: built.append(names))
    assert envctl_run("images", "build").code == 0
    assert envctl_run("images", "build", "tools", "-q").out == ""
    assert built == [["redis", "tools"], ["tools"]]


@pytest.mark.usefixtures("shop")
def test_images_pull_tells_every_refusal(envctl_run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only the first; an image that no registry holds is not asked for."""
    wishes: list[list[str]] = []

    def pull_all(_shop: object, wanted: list[Wish]) -> dict[str, Exception]:
        wishes.append([wish.service for wish in wanted])
        return {"redis": RateLimited("pull redis", "429"), "kafka": RegistryUnreachable("pull kafka", "nobody")}

    monkeypatch.setattr(engine_images, "pull_all", pull_all)
    ended = envctl_run("images", "pull")
    assert (ended.code, wishes) == (1, [["redis"]])
    assert "429" in ended.err
    assert "nobody" in ended.err
    assert envctl_run("images", "pull", "radis").code == 2


@pytest.mark.usefixtures("shop")
def test_images_prune_says_what_it_kept_and_why(envctl_run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """And how much it freed."""
    pruned = [Pruned("1", "envctl/redis:old", 5_000_000), Pruned("2", "envctl/kafka:old", 1, "a container uses it")]
    monkeypatch.setattr(engine_images, "prune", lambda _shop: pruned)
    assert envctl_run("images", "prune").out == "removed 1 images, 5 MB\nkept envctl/kafka:old: a container uses it\n"

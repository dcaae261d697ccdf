"""Teardown: everything goes, in the order that works; what stays is named with the reason."""

from __future__ import annotations

from itertools import repeat

import pytest

from envctl.engine import teardown
from envctl.engine.teardown import tear_down
from envctl.errors import EngineError
from envctl.events import listening
from envctl.model import Leak, Resource
from tests.unit.fake_engine import ENVIRONMENT, FakeEngine, container

ANONYMOUS = "0123456789abcdef" * 4


def resource(kind: str, name: str, environment: str = ENVIRONMENT) -> Resource:
    """A resource whose id is its name."""
    return Resource(kind, name, name, environment)


@pytest.fixture
def engine() -> FakeEngine:
    """Two containers, a network, a volume, and one volume of another environment."""
    things = [
        resource("network", "net"),
        resource("volume", "data"),
        resource("container", "redis"),
        resource("container", "sidecar"),
        resource("volume", "theirs", "other"),
    ]
    return FakeEngine(things={thing.id: thing for thing in things}).put(container("redis", volumes=("data",)))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a second of patience."""
    monkeypatch.setattr(teardown, "LAG", 0.1)


def test_everything_goes_containers_first(engine: FakeEngine) -> None:
    """Networks and volumes are in use until their containers are gone; other environments are not touched."""
    removed, leaks = tear_down(engine, ENVIRONMENT)

    assert leaks == []
    assert {r.name for r in removed} == {"redis", "sidecar", "net", "data"}
    order = [name for _, name in engine.done]
    assert set(order[:2]) == {"redis", "sidecar"}
    assert set(order[2:]) == {"net", "data"}
    assert list(engine.things) == ["theirs"]


def test_a_second_time_there_is_nothing_to_do(engine: FakeEngine) -> None:
    """Idempotent."""
    tear_down(engine, ENVIRONMENT)

    assert tear_down(engine, ENVIRONMENT) == ([], [])


def test_each_removal_is_told(engine: FakeEngine) -> None:
    """And nothing that was not removed."""
    heard: list[object] = []
    with listening(lambda event, data: heard.append((event, data["kind"], data["name"]))):
        tear_down(engine, ENVIRONMENT)

    assert sorted(map(str, heard)) == sorted(
        str(("resource.removed", kind, name))
        for kind, name in [("container", "redis"), ("container", "sidecar"), ("network", "net"), ("volume", "data")]
    )


def test_a_network_that_lags_its_containers_is_tried_again(engine: FakeEngine) -> None:
    """The engine lets go of it a moment later."""
    engine.refusals["net"] = iter(["has active endpoints", "has active endpoints"])
    removed, leaks = tear_down(engine, ENVIRONMENT)

    assert leaks == []
    assert "net" in {r.name for r in removed}
    assert [what for what, name in engine.done if name == "net"] == ["refused", "refused", "removed"]


@pytest.mark.usefixtures("impatient")
def test_what_stays_is_named_with_the_reason_and_the_rest_goes(engine: FakeEngine) -> None:
    """Every step runs; no failure hides another."""
    engine.refusals |= {"data": repeat("volume is in use - [c0ffee]"), "sidecar": repeat("permission denied")}
    removed, leaks = tear_down(engine, ENVIRONMENT)

    assert {r.name for r in removed} == {"redis", "net"}
    assert sorted(leaks, key=str) == [
        Leak("container", "engine", "sidecar", "permission denied"),
        Leak("volume", "engine", "data", "volume is in use - [c0ffee]"),
    ]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("error", [EngineError("an engine", "none answers"), TimeoutError()])
def test_a_removal_that_breaks_is_not_taken_for_done(engine: FakeEngine, error: Exception) -> None:
    """Also when its error has no words."""
    engine.broken["remove"] = error
    removed, leaks = tear_down(engine, ENVIRONMENT)

    assert removed == []
    assert {leak.what for leak in leaks} == {"redis", "sidecar", "net", "data"}
    assert all(leak.reason for leak in leaks)


def test_without_grace_nothing_is_asked_to_end(engine: FakeEngine) -> None:
    """Killing is what `down` promises to be quick by."""
    tear_down(engine, ENVIRONMENT)

    assert not engine.asked["stop"]


def test_with_grace_containers_are_asked_to_end_first(engine: FakeEngine) -> None:
    """All at once, and only they."""
    tear_down(engine, ENVIRONMENT, grace=5)

    assert sorted(engine.done[:2]) == [("stopped 5", "redis"), ("stopped 5", "sidecar")]
    assert "removed" not in {what for what, _ in engine.done[:2]}


def test_a_container_that_cannot_be_asked_is_removed_all_the_same(engine: FakeEngine) -> None:
    """One step that fails keeps no other from running."""
    engine.broken["stop"] = EngineError("an answer of the engine", "none within 10 s")
    removed, leaks = tear_down(engine, ENVIRONMENT, grace=5)

    assert leaks == []
    assert len(removed) == 4


def test_volumes_that_the_engine_named_go_with_their_containers(engine: FakeEngine) -> None:
    """They carry no label; their container knows them. A volume with a name of somebody's stays."""
    engine.put(container("redis", volumes=("data", ANONYMOUS, "somebodys")))
    removed, leaks = tear_down(engine, ENVIRONMENT)

    assert leaks == []
    assert ANONYMOUS in {r.name for r in removed}
    assert "somebodys" not in {name for _, name in engine.done}


def test_what_appears_meanwhile_goes_too(engine: FakeEngine) -> None:
    """An `up` that is being interrupted made one more container after the first look."""
    remove = engine.remove

    def remove_and_make_one(thing: Resource) -> str:
        if thing.id == "net":
            engine.things["late"] = resource("container", "late")
        return remove(thing)

    engine.remove = remove_and_make_one  # type: ignore[method-assign]
    removed, leaks = tear_down(engine, ENVIRONMENT)

    assert leaks == []
    assert "late" in {r.name for r in removed}
    assert list(engine.things) == ["theirs"]

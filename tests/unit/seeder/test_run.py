"""Seeding: who is loaded when, what is done about what is there, and what remains when it is broken off."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from envctl.errors import (
    Interrupted,
    SeedFailed,
)
from envctl.events import listening
from envctl.seeding.journal import Journal
from envctl.seeding.manifest import summary
from tests.unit.seeder.fake_service import CHUNKS, Gate
from tests.unit.seeder.house import fails_at_2

if TYPE_CHECKING:
    from tests.unit.seeder.house import House


ALL = [f"stored {number}" for number in range(CHUNKS)]


def test_all_services_of_the_dataset_are_loaded(house: House) -> None:
    """With rows, bytes and how it went, by service."""
    report = house.seed()
    assert {name: (part.rows, part.bytes, part.outcome) for name, part in report.services.items()} == {
        "postgres": (CHUNKS, CHUNKS * 10, "loaded"),
        "redis": (CHUNKS, CHUNKS * 10, "loaded"),
    }
    assert all(service.done == [*ALL, "measured"] for service in house.services.values())
    assert {data["service"] for data in house.said("seed.loaded")} == {"postgres", "redis"}
    assert house.said("seed.started")[0]["services"]["redis"] == {"rows": CHUNKS, "bytes": CHUNKS * 10}


def test_a_second_seed_does_no_work(house: House) -> None:
    """It looks whether the data is there, and that is all."""
    house.seed()
    for service in house.services.values():
        service.done.clear()
    report = house.seed()
    assert {part.outcome for part in report.services.values()} == {"there"}
    assert all(service.done == [] for service in house.services.values())
    assert {data["service"] for data in house.said("seed.skipped")} == {"postgres", "redis"}


def test_another_dataset_replaces_the_first_and_says_so(house: House) -> None:
    """What the first one put there is removed before."""
    house.dataset("other", words={"w": ["a"]})
    house.seed()
    house.services["redis"].done.clear()
    report = house.seed("other")
    assert house.services["redis"].done == ["cleared", *ALL, "measured"]
    assert report.services["redis"].outcome == "replaced"
    told = {data["service"]: (data["dataset"], data["removed"]) for data in house.said("seed.replaced")}
    assert told == {"postgres": ("small", "4 chunks"), "redis": ("small", "4 chunks")}


def test_another_scale_is_another_dataset(house: House) -> None:
    """Its rows are others."""
    house.seed()
    assert house.seed(scale=0.5).services["redis"].outcome == "replaced"


def test_why_the_same_dataset_goes_is_said(house: House) -> None:
    """Its scale, its files, what is missing, or `force`; that it is another one its name says."""

    def reason() -> str:
        return str(house.said("seed.replaced")[-1]["reason"])

    house.seed(scale=2)
    house.seed()
    assert reason() == "at scale 2"
    house.dataset("small", words={"w": ["changed"]})
    house.seed()
    assert reason() == "whose files have changed"
    house.seed(force=True)
    assert reason() == "to load it anew"
    house.services["redis"].held.clear()
    house.seed()
    assert reason() == "of which a part is missing"
    house.dataset("other", words={"w": ["a"]})
    house.seed("other")
    assert reason() == ""


def test_a_service_that_fails_stops_the_others_and_the_next_seed_goes_on(house: House) -> None:
    """The first error is raised; what was loaded stays, and nothing is loaded twice."""
    waiting = Gate()

    def fail(number: int, stop: threading.Event) -> None:
        if number == 2:
            waiting.passed()
        fails_at_2(number, stop)

    def wait(number: int, stop: threading.Event) -> None:
        if number == 1:
            waiting.open()
            assert stop.wait(10)

    house.services["postgres"].between, house.services["redis"].between = fail, wait
    with pytest.raises(SeedFailed, match="row 3"):
        house.seed()
    assert {name: sorted(service.held) for name, service in house.services.items()} == {
        "postgres": [0, 1],
        "redis": [0, 1],
    }
    assert summary(Journal(house.folder)) == "small, half loaded"

    for service in house.services.values():
        service.between = lambda _number, _stop: None
        service.done.clear()
    report = house.seed()
    assert {part.outcome for part in report.services.values()} == {"resumed"}
    assert house.services["redis"].done == ["stored 2", "stored 3", "measured"]
    assert {data["service"] for data in house.said("seed.resumed")} == {"postgres", "redis"}


def test_when_several_services_fail_all_are_named(house: House) -> None:
    """In one error."""
    both = threading.Barrier(2)

    def fail(name: str) -> None:
        both.wait(10)
        raise SeedFailed(f"rows in {name}", f"{name} went away", "start it")

    for name, service in house.services.items():
        service.between = lambda _number, _stop, name=name: fail(name)
    with pytest.raises(SeedFailed) as caught:
        house.seed()
    assert "rows in postgres: postgres went away" in str(caught.value)
    assert "rows in redis: redis went away" in str(caught.value)


def test_force_loads_anew_what_is_there(house: House) -> None:
    """For data that a test has changed."""
    house.seed()
    house.services["redis"].held[1] = "changed"
    house.seed(force=True)
    assert house.services["redis"].held[1] == house.services["redis"].held[0]


def test_data_that_is_gone_is_loaded_anew(house: House) -> None:
    """What is left of it is removed first: its marks may lie."""
    house.seed()
    del house.services["redis"].held[CHUNKS - 1]
    house.services["redis"].done.clear()
    report = house.seed()
    assert report.services["redis"].outcome == "replaced"
    assert report.services["postgres"].outcome == "there"
    assert house.services["redis"].done == ["cleared", *ALL, "measured"]


def test_a_half_load_of_another_container_is_begun_anew(house: House) -> None:
    """Its volume may be another, too."""
    redis = house.services["redis"]
    redis.between = fails_at_2
    with pytest.raises(SeedFailed):
        house.seed(services=("redis",))
    redis.between = lambda _number, _stop: None
    house.make_anew("redis")
    assert house.seed(services=("redis",)).services["redis"].outcome == "replaced"


def test_a_whole_load_is_believed_of_another_container_that_has_it(house: House) -> None:
    """A container is made anew for an option, and its volume stays."""
    house.seed()
    house.make_anew("redis")
    assert house.seed().services["redis"].outcome == "there"


def test_a_replacement_that_was_broken_off_is_made_good(house: House) -> None:
    """A page that says that its data is being removed is no proof of any data."""
    house.seed()
    Journal(house.folder).update("redis", {"state": "clearing"})
    assert house.seed().services["redis"].outcome == "replaced"


def test_services_that_are_not_there_are_left_out_and_named(house: House) -> None:
    """A dataset for all profiles fits every profile."""
    house.dataset("more", kafka={"topics": {"t": {}}})
    report = house.seed("more")
    assert report.absent == ("kafka",)
    assert ("kafka", "not in this environment") in [(d.get("service"), d["reason"]) for d in house.said("seed.skipped")]


def test_a_selection_of_services_is_all_that_is_loaded(house: House) -> None:
    """And proves nothing about the others."""
    house.seed(services=("redis",))
    assert house.services["postgres"].held == {}
    assert not house.is_met()


def test_a_request_to_go_down_ends_the_load(house: House) -> None:
    """`down` in a second shell does not wait for hours."""

    def wait(number: int, stop: threading.Event) -> None:
        if number == 1:
            house.folder.request_down()
            assert stop.wait(10)

    house.services["redis"].between = wait
    with pytest.raises(Interrupted, match="another process takes"):
        house.seed()
    assert sorted(house.services["redis"].held) == [0, 1]


def test_ctrl_c_ends_the_load_between_two_chunks_and_the_next_goes_on(house: House) -> None:
    """No thread is left behind."""

    def wait(number: int, stop: threading.Event) -> None:
        if number == 1:
            signal.raise_signal(signal.SIGINT)
            assert stop.wait(10)

    house.services["redis"].between = wait
    with pytest.raises(KeyboardInterrupt):
        house.seed()
    assert sorted(house.services["redis"].held) == [0, 1]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("seed-")]
    house.services["redis"].between = lambda _number, _stop: None
    assert house.seed().services["redis"].outcome == "resumed"


def test_in_up_each_service_is_loaded_the_moment_it_is_ready(house: House) -> None:
    """Nobody waits for the slowest."""
    seeder, loaded = house.seeder(), Gate()
    with listening(lambda event, _: loaded.open() if event == "seed.loaded" else None):
        seeder.begin("redis")
        loaded.passed()
    assert len(house.services["redis"].held) == CHUNKS
    assert house.services["postgres"].held == {}
    seeder.begin("postgres")
    seeder.begin("zookeeper")
    assert set(seeder.finish().services) == {"postgres", "redis"}


def test_a_failure_is_told_while_others_are_still_waited_for(house: House) -> None:
    """`up` does not wait for a service when another's load has failed already."""
    told: list[BaseException] = []
    failed, seeder = Gate(), house.seeder()
    seeder.watch(lambda error: (told.append(error), failed.open()))
    house.services["redis"].between = fails_at_2
    seeder.begin("redis")
    failed.passed()
    seeder.abort()
    assert isinstance(told[0], SeedFailed)


def test_up_that_fails_otherwise_stops_the_loads(house: House) -> None:
    """When another service died, for example."""
    seeder, begun = house.seeder(), Gate()

    def wait(_: int, stop: threading.Event) -> None:
        begun.open()
        assert stop.wait(10)

    house.services["redis"].between = wait
    seeder.begin("redis")
    begun.passed()
    seeder.abort()
    assert sorted(house.services["redis"].held) == [0]


def test_progress_is_told_on_the_way(house: House) -> None:
    """With what there is in all, for a bar."""
    house.services["redis"].between = lambda _number, _stop: threading.Event().wait(0.3)
    house.seed(services=("redis",))
    told = house.said("seed.progress")
    assert told
    assert {(data["service"], data["of_rows"], data["of_bytes"]) for data in told} == {("redis", CHUNKS, CHUNKS * 10)}
    assert all(data["bytes"] == 10 * data["rows"] for data in told)

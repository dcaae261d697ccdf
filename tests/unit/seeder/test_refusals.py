"""What seeding refuses, before anything is loaded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from envctl.errors import (
    ConfigurationError,
    NoSpace,
    SeedConflict,
    SeedFailed,
    UnknownName,
)
from envctl.model import State
from envctl.seeding.journal import Journal
from envctl.seeding.manifest import summary

if TYPE_CHECKING:
    from tests.unit.seeder.house import House


def test_all_conflicts_are_named_before_anything_is_loaded(house: House) -> None:
    """Nothing is removed that belongs to no dataset."""
    for service in house.services.values():
        service.stranger = True
    with pytest.raises(SeedConflict) as caught:
        house.seed()
    assert "a stranger sits in postgres" in str(caught.value)
    assert "a stranger sits in redis" in str(caught.value)
    assert all(not service.done for service in house.services.values())
    assert summary(Journal(house.folder)) is None


def test_one_conflict_keeps_the_other_services_empty(house: House) -> None:
    """All are looked into before one is loaded."""
    house.services["redis"].stranger = True
    with pytest.raises(SeedConflict, match="room in redis"):
        house.seed()
    assert house.services["postgres"].held == {}


def test_force_removes_what_stands_in_the_way(house: House) -> None:
    """And says so."""
    house.services["redis"].stranger = True
    house.seed(force=True)
    assert house.services["redis"].stranger is False
    assert [(data["service"], data["dataset"]) for data in house.said("seed.replaced")] == [("redis", "")]


def test_an_environment_with_none_of_the_services_is_refused(house: House) -> None:
    """Nothing would be loaded at all."""
    (house.path / "topics.yaml").write_text(json.dumps({"description": "d", "kafka": {"topics": {"t": {}}}}))
    with pytest.raises(SeedFailed, match="which fills kafka"):
        house.seed("topics")


def test_a_service_that_the_dataset_does_not_fill_is_an_unknown_name(house: House) -> None:
    """Before anything is loaded."""
    with pytest.raises(UnknownName, match="no service in dataset 'small'"):
        house.seed(services=("minio",))


def test_an_unknown_dataset_is_told_the_nearest(house: House) -> None:
    """From the folders and what ships."""
    with pytest.raises(UnknownName, match="did you mean 'small'"):
        house.seed("smal")


def test_a_broken_dataset_is_told_with_all_its_problems(house: House) -> None:
    """Before anything is loaded."""
    house.dataset("broken", redis={"comands": "x"}, nonsense=1)
    with pytest.raises(ConfigurationError) as caught:
        house.seed("broken")
    assert len(caught.value.problems) >= 2
    assert all(not service.done for service in house.services.values())


def test_a_disk_that_is_too_small_is_told_before_the_start(house: House) -> None:
    """The engine's data would be where nothing is free."""
    house.disk["DockerRootDir"] = "/proc"
    with pytest.raises(NoSpace, match="free at /proc"):
        house.seed()
    assert all(not service.done for service in house.services.values())


def test_a_disk_that_cannot_be_seen_from_here_is_no_obstacle(house: House) -> None:
    """It is in a virtual machine, for example."""
    house.disk |= {"DockerRootDir": "/proc", "KernelVersion": "another"}
    assert house.seed().services["redis"].outcome == "loaded"


def test_a_container_that_does_not_run_is_named(house: House) -> None:
    """Instead of a connection that is refused."""
    house.engine.change("redis", state=State.EXITED)
    with pytest.raises(SeedFailed, match="redis running"):
        house.seed()
    assert house.services["postgres"].held == {}

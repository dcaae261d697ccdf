"""Comparing what is there with what was loaded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from envctl.errors import (
    DatasetDiffers,
    SeedFailed,
)
from envctl.seeding.journal import Journal
from envctl.seeding.manifest import manifest
from tests.unit.seeder.fake_service import CHUNKS
from tests.unit.seeder.house import fails_at_2

if TYPE_CHECKING:
    from tests.unit.seeder.house import House


def test_what_was_loaded_is_verified_in_the_services(house: House) -> None:
    """Rows are counted there."""
    house.seed()
    report = house.verify()
    assert (report.dataset, dict(report.services)) == ("small", {"postgres": CHUNKS, "redis": CHUNKS})
    assert [data["equal"] for data in house.said("seed.verified")] == [True, True]
    assert report.manifest == manifest(Journal(house.folder))
    assert [*house.verify(services=("redis",)).manifest["services"]] == ["redis"]


def test_each_service_that_differs_is_named_with_its_first_difference(house: House) -> None:
    """The others are told to be equal."""
    house.seed()
    house.services["redis"].held[2] = "changed"
    with pytest.raises(DatasetDiffers, match="redis: chunk 2 differs"):
        house.verify()
    equal = {data["service"]: data["equal"] for data in house.said("seed.verified")}
    assert equal == {"postgres": True, "redis": False}
    assert house.verify(services=("postgres",)).services == {"postgres": CHUNKS}


def test_the_advice_is_a_command_line_that_loads_just_that_anew(house: House) -> None:
    """With the scale; and with the dataset that was asked for, where that is not the one that is there."""
    house.seed(scale=0.5)
    house.services["redis"].held[0] = "changed"
    with pytest.raises(DatasetDiffers) as caught:
        house.verify()
    assert caught.value.advice == "`envctl seed small --scale 0.5 --force` loads it anew"
    house.dataset("other")
    with pytest.raises(DatasetDiffers) as caught:
        house.verify("other")
    assert caught.value.advice == "`envctl seed other --force` loads it anew"


def test_each_service_is_told_with_the_dataset_that_it_holds(house: House) -> None:
    """They need not hold the same."""
    house.dataset("other", words={"w": ["a"]})
    house.seed()
    house.seed("other", services=("redis",), scale=0.5)
    assert house.verify().loaded == {"postgres": ("small", 1.0), "redis": ("other", 0.5)}


def test_a_half_loaded_dataset_differs(house: House) -> None:
    """Whatever is there is not what was wanted."""
    house.services["redis"].between = fails_at_2
    with pytest.raises(SeedFailed):
        house.seed(services=("redis",))
    with pytest.raises(DatasetDiffers, match="is there in part only"):
        house.verify()


def test_another_dataset_than_the_one_that_must_be_there_differs(house: House) -> None:
    """`seed small --verify` after `seed other`."""
    house.dataset("other", words={"w": ["a"]})
    house.seed("other")
    with pytest.raises(DatasetDiffers, match="holds dataset 'other' at scale 1"):
        house.verify("small")
    assert house.verify("other").dataset == "other"


def test_a_dataset_whose_files_have_changed_cannot_be_compared(house: House) -> None:
    """What it says now is not what was loaded."""
    house.seed()
    (house.path / "a.sql").write_text("select 2;\n")
    with pytest.raises(DatasetDiffers, match="the files of dataset 'small' have changed"):
        house.verify()


def test_where_nothing_is_loaded_there_is_nothing_to_verify(house: House) -> None:
    """That is said, and what to do."""
    with pytest.raises(SeedFailed, match="none is loaded"):
        house.verify()
    house.seed(services=("redis",))
    with pytest.raises(SeedFailed, match="none is loaded into postgres"):
        house.verify(services=("postgres",))


def test_the_manifest_is_the_same_for_the_same_data(house: House) -> None:
    """Whatever was loaded first; nothing of the machine is in it."""
    house.seed()
    first = json.dumps(manifest(Journal(house.folder)))
    house.seed(force=True)
    assert json.dumps(manifest(Journal(house.folder))) == first
    assert str(house.path) not in first
    assert json.loads(first)["services"]["redis"]["chunk 0"]["rows"] == 1

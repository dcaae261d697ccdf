"""What is asked for, and the proof that it is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.errors import (
    SeedFailed,
    UsageError,
)
from envctl.seeder.request import Request
from tests.unit.fake_engine import container
from tests.unit.seeder.house import fails_at_2

if TYPE_CHECKING:
    from tests.unit.seeder.house import House


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_must_be_above_0(scale: float) -> None:
    """And finite."""
    with pytest.raises(UsageError, match="a scale above 0"):
        Request("small", scale)


def test_what_is_proven_there_costs_a_look_at_files(house: House) -> None:
    """Until a file, a container's start, or the request is another."""
    assert not house.is_met()
    house.seed()
    assert house.is_met()
    assert not house.request(scale=0.5).is_met(house.folder, house.engine.containers())
    assert not house.request(force=True).is_met(house.folder, house.engine.containers())
    house.engine.change("redis", started_at="later")
    assert not house.is_met()
    house.seed()
    assert house.is_met()
    (house.path / "a.sql").write_text("select 2;\n")
    assert not house.is_met()


def test_a_service_that_has_come_since_is_not_proven_to_be_loaded(house: House) -> None:
    """`up` with another profile loads what that brought."""
    house.dataset("more", kafka={"topics": {"t": {}}})
    house.seed("more")
    assert house.is_met("more")
    house.engine.put(container("kafka"))
    assert not house.is_met("more")


def test_a_name_that_leads_elsewhere_now_is_not_met(house: House) -> None:
    """A project's own `small` beside the configuration hides the one that ships."""
    house.seed()
    (house.path / "seeds").mkdir()
    (house.path / "seeds" / "small.yaml").write_text("{}")
    request = Request("small", folders=(house.path / "seeds", house.path))
    assert not request.is_met(house.folder, house.engine.containers())


def test_a_seed_that_fails_leaves_no_proof(house: House) -> None:
    """It goes before anything is changed."""
    house.seed()
    house.dataset("other", words={"w": ["a"]})

    house.services["redis"].between = fails_at_2
    with pytest.raises(SeedFailed):
        house.seed("other")
    assert not house.is_met()

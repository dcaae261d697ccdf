"""What is asked for, and the proof that it is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


@pytest.mark.parametrize("scale", [0, -1.0, float("nan"), float("inf"), 1e300, "x", "0.5", None, True])
def test_a_scale_must_be_a_number_above_0(scale: Any) -> None:  # noqa: ANN401 - what a program may give
    """Whatever a program gives, what is wrong and what to do is told."""
    with pytest.raises(UsageError, match="a scale above 0") as caught:
        Request("small", scale)
    assert (caught.value.found, bool(caught.value.advice)) == (repr(scale), True)


@pytest.mark.parametrize("jobs", [0, -1, 1.5, "2", True])
def test_jobs_are_a_whole_number_from_1_on(jobs: Any) -> None:  # noqa: ANN401 - as above
    """Nobody loads with none, or with half a one."""
    with pytest.raises(UsageError, match="a whole number of jobs") as caught:
        Request("small", jobs=jobs)
    assert (caught.value.found, bool(caught.value.advice)) == (repr(jobs), True)


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

"""A dataset's own Python functions: called last, with the environment; again after a failure; errors have a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from envctl.errors import SeedFailed
from tests.unit.seeder.fake_service import CHUNKS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.seeder.house import House


class Called:
    """An environment that remembers who came."""

    def __init__(self) -> None:
        self.by: list[object] = []


@pytest.fixture
def environment() -> Called:
    """What the functions are called with."""
    return Called()


def write(house: House, body: str) -> Path:
    """A dataset `own` with a function of this body."""
    file = house.path / "fixtures.py"
    file.write_text(f"def load(environment):\n    {body}\n")
    house.dataset("own", python=["fixtures.py:load"])
    return file


def test_a_function_is_called_with_the_environment_when_all_is_loaded(house: House, environment: Called) -> None:
    """It may rely on what the dataset loads."""
    write(house, "environment.by.append('load')")
    house.services["redis"].between = lambda _number, _stop: environment.by.append("redis")
    assert house.seed("own", environment).functions == ("fixtures.py:load",)
    assert environment.by == [*["redis"] * CHUNKS, "load"]


def test_a_function_is_called_once_for_the_same_data(house: House, environment: Called) -> None:
    """A second seed does no work; one that loads anything does, for its work may be gone."""
    write(house, "environment.by.append('load')")
    house.seed("own", environment)
    assert house.seed("own", environment).functions == ()
    assert house.is_met("own")
    house.services["redis"].held.clear()
    assert house.seed("own", environment).functions == ("fixtures.py:load",)
    assert environment.by == ["load", "load"]


def test_an_error_of_a_function_names_file_function_and_line(house: House, environment: Called) -> None:
    """And the next seed calls it again, and loads nothing else again."""
    file = write(house, "\n    environment.missing()")
    with pytest.raises(SeedFailed) as caught:
        house.seed("own", environment)
    assert f"load() of {file}" in caught.value.wanted
    assert "AttributeError" in caught.value.found
    assert "(fixtures.py:3)" in caught.value.found
    assert not house.is_met("own")
    with pytest.raises(SeedFailed):
        house.seed("own", environment)
    assert {data["service"] for data in house.said("seed.skipped")} == {"postgres", "redis"}


@pytest.mark.parametrize("body", ["raise SystemExit(3)", "import nothing_of_this_name", "1 / 0"])
def test_whatever_a_function_does_is_an_error_of_its_own(house: House, body: str) -> None:
    """Also one that would end the process."""
    write(house, body)
    with pytest.raises(SeedFailed, match=r"fixtures\.py:2"):
        house.seed("own", Called())


def test_a_password_in_an_error_is_not_shown(house: House) -> None:
    """Clients quote their connection data."""
    house.secrets["redis"] = {"admin": "pass-word"}
    write(house, "raise ValueError('no login with pass-word')")
    with pytest.raises(SeedFailed, match=r"no login with \*\*\*"):
        house.seed("own", Called())


def test_functions_are_left_out_of_a_selection_of_services(house: House, environment: Called) -> None:
    """What they rely on may not be there."""
    write(house, "environment.by.append('load')")
    house.seed("own", environment, services=("redis",))
    assert environment.by == []

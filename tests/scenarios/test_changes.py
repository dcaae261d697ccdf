"""A changed configuration re-creates just what changed, and says which difference forced it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.scenarios.program import Said
    from tests.scenarios.scene import Scene


@pytest.fixture
def core(new_scene: Callable[[], AbstractContextManager[Scene]]) -> Iterator[Scene]:
    """PostgreSQL and Redis, up."""
    with new_scene() as scene:
        scene.envctl("up", "--profile", "core")
        yield scene


def re_created(said: Said) -> dict[str, list[str]]:
    """What was made anew, by service, with the differences."""
    return dict(said.events[-1]["recreated"])


def setting(core: Scene, name: str) -> str:
    """A setting as PostgreSQL has it now."""
    with psycopg.connect(core.envctl("env", "--format", "json").document["DATABASE_URL"]) as db:
        row = db.execute("select current_setting(%s)", [name]).fetchone()
    assert row
    return str(row[0])


def test_a_changed_option_re_creates_that_service_alone(core: Scene) -> None:
    """It takes effect, the other container keeps its id, the data stays, and the difference is shown."""
    ids, variables = core.ids(), core.envctl("env", "--format", "json").document
    core.envctl("exec", "redis", "--", "true")
    with psycopg.connect(variables["DATABASE_URL"]) as db:
        db.execute("create table kept (id int)")
    core.configure("services: {postgres: {options: {work_mem: 17MB}}}")
    said = core.envctl("up", "--profile", "core", "--json")
    assert [*re_created(said)] == ["postgres"]
    assert any("work_mem=17MB" in difference for difference in re_created(said)["postgres"])
    assert setting(core, "work_mem") == "17MB"
    assert core.ids()["redis"] == ids["redis"]
    assert core.ids()["postgres"] != ids["postgres"]
    assert core.envctl("env", "--format", "json").document == variables
    with psycopg.connect(variables["DATABASE_URL"]) as db:
        assert db.execute("select count(*) from kept").fetchone() == (0,)


def test_the_difference_is_told_to_people(core: Scene) -> None:
    """Before the work, in one line behind the service's name; taken back, it says so again."""
    core.configure("services: {redis: {options: {maxmemory: 64mb}}}")
    assert "64mb" in next(
        line for line in core.envctl("up", "--profile", "core").out.splitlines() if "re-created" in line
    )
    core.configure("")
    assert "64mb" in next(
        line for line in core.envctl("up", "--profile", "core").out.splitlines() if "re-created" in line
    )


def test_another_port_re_creates_that_service_alone(core: Scene, a_free_port: int) -> None:
    """The service answers at its new address, and no more at the old one."""
    ids, old = core.ids(), core.envctl("status", "--json").document["services"]
    core.configure(f"services: {{redis: {{port: {a_free_port}}}}}")
    said = core.envctl("up", "--profile", "core", "--json")
    assert [*re_created(said)] == ["redis"]
    new = said.events[-1]["services"]
    assert new["redis"]["port"] == a_free_port
    assert new["postgres"]["port"] == old["postgres"]["port"]
    assert core.ids()["postgres"] == ids["postgres"]
    assert core.is_free(old["redis"]["port"])
    assert not core.is_free(a_free_port)


def test_fast_turns_durability_off_and_on_again(core: Scene) -> None:
    """It says what it costs; without it the next `up` is safe again."""
    assert setting(core, "fsync") == "on"
    assert "--fast" in core.envctl("up", "--profile", "core", "--fast").out
    assert setting(core, "fsync") == "off"
    core.envctl("up", "--profile", "core")
    assert setting(core, "fsync") == "on"


def test_recreate_makes_every_container_anew_and_keeps_the_data(core: Scene) -> None:
    """The same addresses and passwords, other containers."""
    ids, variables = core.ids(), core.envctl("env", "--format", "json").document
    with psycopg.connect(variables["DATABASE_URL"]) as db:
        db.execute("create table kept (id int)")
    core.envctl("up", "--profile", "core", "--recreate")
    assert not {*core.ids().values()} & {*ids.values()}
    assert core.envctl("env", "--format", "json").document == variables
    with psycopg.connect(variables["DATABASE_URL"]) as db:
        assert db.execute("select count(*) from kept").fetchone() == (0,)


def test_a_second_profile_adds_to_what_runs(core: Scene) -> None:
    """What was there stays as it is; `status` shows both."""
    ids = core.ids()
    core.envctl("up", "--service", "zookeeper")
    assert {name: core.ids()[name] for name in ids} == ids
    status = core.envctl("status", "--json").document
    assert {*status["services"]} == {"postgres", "redis", "zookeeper"}
    assert status["state"] == "ready"


def test_a_container_removed_by_hand_comes_back(core: Scene) -> None:
    """`status` tells the truth meanwhile; `up` makes the missing one, the other is not touched."""
    ids, variables = core.ids(), core.envctl("env", "--format", "json").document
    core.containers()["redis"].remove(force=True)
    assert {*core.envctl("status", "--json").document["services"]} == {"postgres"}
    core.envctl("up", "--profile", "core")
    assert core.ids()["postgres"] == ids["postgres"]
    assert core.envctl("env", "--format", "json").document == variables


@pytest.mark.parametrize("act", ["kill", "stop", "pause"])
def test_a_service_that_was_stopped_by_hand_is_started_again(core: Scene, act: str) -> None:
    """`status` does not call it ready; `up` does not attach to it, but brings it back at the same address."""
    before = core.envctl("status", "--json").document["services"]["redis"]
    getattr(core.containers()["redis"], act)()
    shown = core.envctl("status", "--json").document
    assert shown["state"] == "degraded"
    assert shown["services"]["redis"]["state"] != "ready"
    core.envctl("up", "--profile", "core")
    after = core.envctl("status", "--json").document["services"]["redis"]
    assert (after["state"], after["port"]) == ("ready", before["port"])

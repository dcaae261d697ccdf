"""Several processes at once: on one environment, and on many."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.scenarios.program import Program
    from tests.scenarios.scene import Scene

EIGHT = 8
UP = ("up", "--profile", "core", "--json")


def test_two_ups_of_one_environment_make_it_once(scene: Scene) -> None:
    """One builds, the other waits for it and attaches; there is one container of each service."""
    first, second = scene.start(*UP), scene.start(*UP)
    results = [first.finish().events[-1], second.finish().events[-1]]
    assert sorted(result["attached"] for result in results) == [False, True]
    assert results[0]["services"] == results[1]["services"]
    assert {*scene.containers()} == {"postgres", "redis"}
    scene.envctl("down")
    scene.is_gone()


def test_down_during_up_ends_both_in_order(scene: Scene) -> None:
    """`up` ends with 130 and says why; `down` ends with 0; nothing is left, also not later."""
    up = scene.start(*UP, *scene.never_ready())
    scene.hears(up, "service.started")
    down = scene.envctl("down", "--json")
    said = up.finish(exits=130)
    assert (said.events[-1]["error"], said.events[-1]["exit_code"]) == ("Interrupted", 130)
    assert "another process took it down" in said.err
    assert down.events[-1]["ok"] is True
    scene.is_gone()


def test_down_while_compose_works_ends_both_in_order(scene: Scene) -> None:
    """As above, in the middle of making the containers."""
    up = scene.start(*UP, *scene.never_ready())

    def compose_works() -> None:
        assert scene.helpers()

    scene.eventually(compose_works)
    scene.envctl("down")
    up.finish(exits=130)
    scene.is_gone()


def test_two_downs_of_one_environment_are_one(scene: Scene) -> None:
    """Both end with 0: what the other removed is gone too."""
    scene.envctl(*UP)
    first, second = scene.start("down"), scene.start("down")
    first.finish()
    second.finish()
    scene.is_gone()


def test_up_right_after_a_down_that_is_at_work_waits_for_it(scene: Scene) -> None:
    """The new environment is whole, with other passwords: it shares nothing with the old one."""
    scene.envctl(*UP)
    old = scene.envctl("env", "--format", "json").document
    down = scene.start("-v", "down")
    scene.hears(down, "removed")
    scene.envctl(*UP)
    down.finish()
    assert scene.envctl("status", "--json").document["state"] == "ready"
    assert scene.envctl("env", "--format", "json").document["PGPASSWORD"] != old["PGPASSWORD"]


def test_eight_environments_stand_side_by_side(scene: Scene) -> None:
    """All start at once, all are ready, no two share a port, and all go at once."""
    names = [f"{scene.name}-{number}" for number in range(EIGHT)]

    def all_at_once(*arguments: str) -> list[Program]:
        return [scene.start("--env", name, *arguments) for name in names]

    results = [program.finish().events[-1] for program in all_at_once(*UP, "--timeout", "300")]
    ports = [service["port"] for result in results for service in result["services"].values()]
    assert len({*ports}) == len(ports) == 2 * EIGHT
    for name in names:
        assert scene.envctl("--env", name, "status", "--json").document["state"] == "ready"
    for program in all_at_once("down"):
        program.finish()
    scene.is_gone()
    assert all(scene.is_free(port) for port in ports)

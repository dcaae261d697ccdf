"""Faults from the command line, and every bad day of theirs that a user can see."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenarios.engine_door import Door

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.scenarios.scene import Scene

UP = ("up", "--service", "redis", "--service", "postgres")


@pytest.fixture(scope="module")
def shared(new_scene: Callable[[], AbstractContextManager[Scene]]) -> Iterator[Scene]:
    """Redis and PostgreSQL, for all tests that leave them as they were."""
    with new_scene() as scene:
        scene.envctl(*UP)
        yield scene


def state(scene: Scene, service: str = "redis") -> str:
    """What the engine says of a service."""
    container = scene.containers()[service]
    return str(container.status)


def paused(scene: Scene) -> None:
    """Redis is frozen."""
    assert state(scene) == "paused"


def running(scene: Scene) -> None:
    """Redis runs."""
    assert state(scene) == "running"


def test_a_fault_ends_with_its_time_and_the_command_with_the_fault(shared: Scene) -> None:
    """It says what was measured, and that the service is what it was."""
    began, redis = time.time(), shared.containers()["redis"]
    said = shared.envctl("chaos", "pause", "redis", "--for", "1s")
    events = shared.engine.events(since=began, until=time.time(), filters={"container": redis.id}, decode=True)
    assert [event["Action"] for event in events if "pause" in event["Action"]] == ["pause", "unpause"]
    assert "is in force on redis" in said.out
    assert "healed, and proven" in said.out
    running(shared)


def test_one_that_is_held_ends_with_ctrl_c_and_that_is_no_failure(shared: Scene) -> None:
    """Exit code 0."""
    program = shared.start("chaos", "pause", "redis", "--hold")
    shared.hears(program, "until Ctrl-C")
    program.signal(signal.SIGINT)
    program.finish()
    running(shared)


def test_ctrl_c_before_its_time_heals_too(shared: Scene) -> None:
    """Exit code 130: it did not last as long as was asked for."""
    program = shared.start("chaos", "pause", "redis", "--for", "1h")
    shared.hears(program, "is in force")
    program.signal(signal.SIGTERM)
    assert "it is healed" in program.finish(130).err
    running(shared)


def test_a_command_that_is_killed_leaves_nothing(shared: Scene) -> None:
    """Nobody has to wait for the hour to be over."""
    program = shared.start("chaos", "pause", "redis", "--for", "1h")
    shared.hears(program, "is in force")
    program.kill()
    shared.eventually(lambda: running(shared))
    shared.eventually(lambda: nothing_in_force(shared))


def left_alone(scene: Scene, act: Callable[[], object], **options: Any) -> None:  # noqa: ANN401 - of a command line
    """A detached fault whose time was not over when `act` was done; it lasts longer where the machine is busy."""
    for seconds in (2, 8, 32, 128):
        scene.envctl("chaos", "pause", "redis", "--detach", "--for", f"{seconds}s", exits=None, **options)
        act()
        if state(scene) == "paused":
            return
    pytest.fail("its time was always over before")


def test_a_detached_one_ends_by_itself(shared: Scene) -> None:
    """The command is long over."""
    shared.envctl("chaos", "pause", "redis", "--detach", "--for", "1h")
    paused(shared)
    [fault] = in_force(shared)
    assert (fault["fault"], fault["service"], fault["stage"]) == ("pause", "redis", "verified")
    assert shared.envctl("status", "--json").document["faults"][0]["id"] == fault["id"]
    shared.envctl("chaos", "heal")
    shared.envctl("chaos", "pause", "redis", "--detach", "--for", "2s")
    shared.eventually(lambda: running(shared))
    shared.eventually(lambda: nothing_in_force(shared))


def test_one_that_was_lost_is_told_to_people_and_programs_alike(shared: Scene) -> None:
    """Until its time would have been over: who detached it counts on it."""
    fault = shared.envctl("chaos", "pause", "redis", "--detach", "--for", "1h", "--json").events[-1]["id"]
    shared.containers()["redis"].restart(timeout=0)

    def told() -> None:
        found = {one["id"]: one for one in shared.envctl("chaos", "status", "--json").document}
        assert found[fault]["stage"] == "lost"
        assert found[fault]["problem"]
        assert f"{fault} on redis: {found[fault]['problem']}" in shared.envctl("chaos", "status").out

    shared.eventually(told)
    shared.eventually(lambda: running(shared))


def test_when_the_warden_was_killed_too_the_next_verb_heals(shared: Scene) -> None:
    """Whatever looks at the environment."""

    def kill_helpers() -> None:
        for process in shared.helpers():
            process.kill()

    left_alone(shared, kill_helpers)
    shared.eventually(lambda: overdue(shared))
    shared.envctl("env")
    running(shared)


def test_a_service_that_was_killed_and_healed_counts_as_ready(shared: Scene) -> None:
    """The new start was proven: `status` says so, and a second `up` only attaches."""
    shared.envctl("chaos", "kill", "redis", "--for", "1s")
    assert shared.envctl("status", "--json").document["state"] == "ready"
    assert shared.envctl(*UP, "--json").events[-1]["attached"]


def test_who_waits_hears_which_fault_keeps_the_service_from_being_ready(shared: Scene) -> None:
    """And what heals it."""
    program = shared.start("chaos", "pause", "redis", "--hold")
    shared.hears(program, "until Ctrl-C")
    assert "in force: `envctl chaos heal`" in shared.envctl("wait", "--timeout", "2s", exits=1).err
    program.signal(signal.SIGINT)
    program.finish()


def test_up_heals_first_what_nobody_holds(shared: Scene) -> None:
    """It says so, and what it says is ready is ready."""
    shared.envctl("chaos", "revoke-credentials", "postgres", "--detach", "--for", "1h")
    events = shared.envctl(*UP, "--json").events
    assert "fault.healed" in {event["event"] for event in events}
    nothing_in_force(shared)
    shared.envctl("exec", "postgres", "--", "psql", "-h", "127.0.0.1", "-U", "envctl", "-d", "app", "-c", "select 1")


def test_many_heal_at_once(shared: Scene) -> None:
    """Each ends well, and the fault is healed once."""
    shared.envctl("chaos", "pause", "redis", "--detach")
    programs = [shared.start("chaos", "heal", "--json") for _ in range(4)]
    results = [program.finish().events[-1] for program in programs]
    assert sum(len(result["healed"]) for result in results) == 1
    running(shared)
    assert "nothing was in force" in shared.envctl("chaos", "heal").out


def test_of_two_injectors_one_wins_and_the_other_hears_of_it(shared: Scene) -> None:
    """With the fault's name and what to do."""
    programs = [shared.start("chaos", "pause", "redis", "--hold") for _ in range(2)]

    def one_has_ended() -> None:
        programs.sort(key=lambda program: program.process.poll() is None)
        assert [program.process.poll() is None for program in programs] == [False, True]

    shared.eventually(one_has_ended)
    loser, winner = programs
    end = loser.finish(1)
    assert "is in force there" in end.err
    assert "envctl chaos heal pause-" in end.err
    shared.hears(winner, "until Ctrl-C")
    winner.signal(signal.SIGINT)
    winner.finish()
    running(shared)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pauze", "redis"], "did you mean 'pause'"),
        (["pause", "redys"], "did you mean 'redis'"),
        (["pause"], "SERVICE"),
        (["pause", "redis", "--for", "0"], "more than 0"),
        (["pause", "redis", "--for", "soon"], "a duration"),
        (["pause", "redis", "--for", "5s", "--hold"], "--hold alone"),
        (["pause", "redis", "--replay", "nothing"], "neither a file nor an id"),
        (["kill-mid-transaction", "zookeeper"], "no service of environment"),
        (["heal", "pause-123456"], "no fault is named"),
        (["kill-mid-transaction", "postgres", "--at", "noon", "--means", "kindness"], "kindness"),
        (["kill-mid-transaction", "postgres", "--after-rows", "-5", "--restart", "perhaps"], "perhaps"),
        (["revoke-credentials", "redis", "--mode", "shout"], "shout"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_told_and_touches_nothing(shared: Scene, words: list[str], told: str) -> None:
    """Exit code 2; no entry in the journal."""
    said = shared.envctl("chaos", *words, exits=2)
    assert told in said.err
    nothing_in_force(shared)


def test_every_problem_is_told_at_once(shared: Scene) -> None:
    """Nobody mends them one by one."""
    said = shared.envctl(
        "chaos", "kill-mid-transaction", "postgres", "--after-rows", "x", "--operation", "y", "--for", "z", exits=2
    )
    assert all(option in said.err for option in ("--after-rows", "--operation", "--for"))
    wrong = ("--delay", "1m", "--port", "http", "--for", "z", "--seed", "-1")
    said = shared.envctl("chaos", "latency", "redis", *wrong, exits=2)
    assert all(f"{flag}: wanted" in said.err for flag in wrong[::2])


def test_the_list_says_why_not(shared: Scene) -> None:
    """Of what is there, and without an environment of all that could be."""
    rows = shared.envctl("chaos", "list", "--json").document
    assert {row["service"] for row in rows} == {"redis", "postgres"}
    assert all(row["possible"] or row["reason"] for row in rows)
    everything = shared.envctl("--env", f"{shared.name}-none", "chaos", "list").out
    assert "kill-mid-transaction on zookeeper, spark-connect: has no transactions; use kill" in everything


def test_an_earlier_injection_can_be_repeated_from_its_record(shared: Scene) -> None:
    """By id, and from the file that `--json` wrote."""
    first = shared.envctl("chaos", "pause", "redis", "--for", "100ms", "--seed", "5", "--json")
    record = shared.folder / "record.jsonl"
    record.write_text(first.out)
    for what in (str(record), first.events[-1]["id"]):
        again = shared.envctl("chaos", "pause", "redis", "--for", "100ms", "--replay", what, "--json").events[-1]
        assert (again["seed"], again["healed"]["stage"]) == (5, "healed")
    refused = shared.envctl("chaos", "pause", "postgres", "--replay", str(record), exits=2)
    assert "was pause on redis" in refused.err


def test_an_environment_that_goes_takes_its_faults_along(scene: Scene) -> None:
    """Nothing is left, on the engine or as a process; who held the fault hears of it."""
    scene.envctl("up", "--service", "redis")
    program = scene.start("chaos", "pause", "redis", "--hold")
    scene.hears(program, "until Ctrl-C")
    scene.envctl("down")
    said = program.finish(0)
    assert "lost" in said.out
    scene.eventually(scene.is_gone)


def test_no_environment_is_told_as_everywhere(scene: Scene) -> None:
    """With the way to make one."""
    assert "up`" in scene.envctl("chaos", "pause", "redis", exits=1).err
    assert "up`" in scene.envctl("chaos", "heal", exits=1).err


def nothing_in_force(scene: Scene) -> None:
    """The journal is empty."""
    assert in_force(scene) == []


def in_force(scene: Scene) -> list[Any]:
    """What is; without what was lost."""
    return [fault for fault in scene.envctl("chaos", "status", "--json").document if fault["stage"] != "lost"]


def overdue(scene: Scene) -> None:
    """The time of what is in force is over, and nobody has healed it; asks no verb, for that would."""
    entries = [json.loads(path.read_text()) for path in scene.state.glob("envctl/*/faults/*.json")]
    assert entries
    assert all(entry["expires"]["monotonic"] < time.monotonic() for entry in entries)


def test_an_engine_that_goes_away_while_it_is_healed_is_waited_for(shared: Scene, tmp_path: Path) -> None:
    """As while it restarts: the warden goes on when it is back."""
    for earlier in shared.helpers():
        earlier.kill()  # a warden of an earlier test would heal by the engine's own door
    door = Door(tmp_path / "engine.sock")
    door.open()

    def shut() -> None:
        door.shut()
        if state(shared) != "paused":
            door.open()

    try:
        left_alone(shared, shut, environ={"DOCKER_HOST": door.url})
        shared.eventually(lambda: overdue(shared))
        shared.eventually(lambda: told(shared, "fault.healing"))
        paused(shared)
        door.open()
        shared.eventually(lambda: running(shared))
        shared.eventually(lambda: told(shared, "fault.healed"))
    finally:
        door.shut()


def told(scene: Scene, event: str) -> None:
    """The history ends with that."""
    [history] = scene.state.glob("envctl/*/faults/history.jsonl")
    assert f'"event": "{event}"' in history.read_text().splitlines()[-1]

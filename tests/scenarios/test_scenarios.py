"""Scenarios from the command line: those that ship, one's own, and what becomes of a run that is broken off."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from envctl.scenarios import finding, history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.scenarios.scene import Scene

SHIPPED = sorted(path.stem for path in finding.shipped().glob("*.yaml"))
SERVICES = ("postgres", "redis", "minio", "spark-connect")
LEFT = "SELECT count(*) FROM pg_class WHERE relname LIKE 'envctl\\_scenario%'"

CHANCE = """
probes:
  alive: {redis: PING, expect: {equals: PONG}, timeout: 1s, roles: [before, during, after], every: 300ms, tolerate: 99}
  lookup: {command: [sh, -c, 'echo "$ENVCTL_ENV $REDIS_URL"'], expect: {matches: scene}}
steps:
  - random:
      faults:
        - {fault: pause, service: redis, for: 300ms}
        - {fault: pause, service: postgres, for: 300ms}
        - {fault: latency, service: redis, with: {delay: 20ms}, for: 300ms}
      count: 3
      between: 10ms..200ms
recovery: {within: 60s}
"""
LONG = """
probes:
  alive: {redis: PING, timeout: 1s}
steps:
  - parallel:
      - {fault: pause, service: redis, for: 1h}
      - {fault: latency, service: postgres, for: 1h}
cleanup:
  - command: touch cleaned
"""


@pytest.fixture(scope="module")
def shared(new_scene: Callable[[], AbstractContextManager[Scene]]) -> Iterator[Scene]:
    """All services that the scenarios which ship need."""
    with new_scene() as scene:
        scene.envctl("up", *(word for name in SERVICES for word in ("--service", name)))
        yield scene


def in_force(scene: Scene) -> list[Any]:
    """What is; without what was lost."""
    return [fault for fault in scene.envctl("chaos", "status", "--json").document if fault["stage"] != "lost"]


def nothing_in_force(scene: Scene) -> None:
    """All is healed."""
    assert in_force(scene) == []


def write(scene: Scene, name: str, text: str) -> Path:
    """A file of the scene's own."""
    file = scene.folder / name
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", SHIPPED)
def test_each_that_ships_holds_and_leaves_nothing(shared: Scene, name: str) -> None:
    """One command, exit code 0; its work met the faults, and what it made is gone."""
    told = shared.folder / f"{name}.jsonl"
    said = shared.envctl("chaos", "run", name, "--history", str(told))
    assert f"{name} (ships with envctl): HELD, everything that was claimed held" in said.out
    assert "recovered" in said.out
    nothing_in_force(shared)
    lines = history.read(told)
    assert {"fault.injected", "fault.healed"} <= {line["event"] for line in lines}
    query = ("exec", "postgres", "--", "psql", "-U", "envctl", "-d", "app", "-h", "127.0.0.1", "-Atc", LEFT)
    assert shared.envctl(*query).out.strip() == "0"


def test_a_run_is_repeated_by_its_history(shared: Scene) -> None:
    """With and without its file; the same story but for times, ids and measured values."""
    file, first = write(shared, "chance.yaml", CHANCE), shared.folder / "first.jsonl"
    result = shared.envctl("chaos", "run", str(file), "--seed", "12", "--history", str(first), "--json").events[-1]
    assert (result["event"], result["ok"], result["outcome"], result["seed"]) == ("result", True, "held", 12)
    assert len(result["wounds"]) == 3
    for number, words in enumerate(([str(file)], [])):
        again = shared.folder / f"again-{number}.jsonl"
        shared.envctl("chaos", "run", *words, "--replay", str(first), "--history", str(again))
        assert history.differences(history.read(first), history.read(again)) == []
    file.write_text(CHANCE.replace("count: 3", "count: 2"))
    refused = shared.envctl("chaos", "run", str(file), "--replay", str(first), exits=2)
    assert "says something else now" in refused.err
    assert "a seed, or a history" in shared.envctl("chaos", "run", "--replay", str(first), "--seed", "1", exits=2).err


def test_what_does_not_hold_is_told_in_plain_words(shared: Scene) -> None:
    """Exit code 1; which probe, when, during what."""
    text = CHANCE.replace("tolerate: 99", "tolerate: 0").replace(
        "steps:", "steps:\n  - {fault: pause, service: redis, for: 2s}"
    )
    said = shared.envctl("chaos", "run", str(write(shared, "strict.yaml", text)), exits=1)
    assert "BROKEN, something that was claimed did not hold" in said.out
    assert "none is allowed; first at" in said.out
    assert "during pause on redis: no answer within 1 s" in said.out
    nothing_in_force(shared)


@pytest.mark.parametrize(("ending", "told"), [(signal.SIGINT, "Ctrl-C (SIGINT)"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_ends_it_and_heals_all_of_it(shared: Scene, ending: signal.Signals, told: str) -> None:
    """Exit code 130, and the verdict; what it would have done at the end is done."""
    kept = shared.folder / f"{ending.name}.jsonl"
    (shared.folder / "cleaned").unlink(missing_ok=True)
    program = shared.start("chaos", "run", str(write(shared, "long.yaml", LONG)), "--history", str(kept))
    shared.eventually(lambda: both_bite(shared))
    program.signal(ending)
    said = program.finish(130)
    assert "ABORTED, it was ended early, and everything was healed" in said.out
    assert f"why        broken off by {told}\n" in said.out
    assert f"history    {kept};" in said.out
    nothing_in_force(shared)
    assert (shared.folder / "cleaned").exists()
    last = history.read(kept)[-1]
    assert (last["event"], last["outcome"]) == ("scenario.verdict", "aborted")


def test_a_run_that_is_broken_off_ends_with_its_verdict_as_json_too(shared: Scene) -> None:
    """One result, the last line."""
    program = shared.start("chaos", "run", str(write(shared, "long.yaml", LONG)), "--json")
    shared.eventually(lambda: both_bite(shared))
    program.signal(signal.SIGINT)
    last = program.finish(130).events[-1]
    found = {key: last[key] for key in ("event", "ok", "exit_code", "outcome", "reasons")}
    reasons = ["broken off by Ctrl-C (SIGINT)"]
    assert found == {"event": "result", "ok": False, "exit_code": 130, "outcome": "aborted", "reasons": reasons}


def test_a_run_that_is_killed_leaves_nothing_in_force(shared: Scene) -> None:
    """The warden heals; the history ends where the process did."""
    program = shared.start("chaos", "run", str(write(shared, "long.yaml", LONG)))
    shared.eventually(lambda: both_bite(shared))
    program.kill()
    shared.eventually(lambda: nothing_in_force(shared))
    shared.envctl("wait", "--timeout", "60s")


def both_bite(scene: Scene) -> None:
    """Both faults are in force, and were seen to bite."""
    found = [fault["stage"] for fault in in_force(scene)]
    assert found == ["verified", "verified"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "a scenario, or --replay FILE"),
        (["slow-netwrk"], "did you mean 'slow-network'"),
        (["./nothing.yaml"], "no such file"),
        (["slow-network", "--seed", "-1"], "a whole number, 0 or more"),
        (["slow-network", "--replay", "nothing.jsonl"], "no such file or directory"),
        (["slow-network", "--history", "precious.txt"], "is no history"),
        (["bad.yaml"], "bad.yaml:3: steps.0.fault: no fault is named 'pauze'; did you mean 'pause'?"),
        (["bad.yaml"], "bad.yaml:2: probes.alive.expect.equals: must be"),
        (["half.yaml"], "ends in the middle of its last line"),
        (["empty.yaml"], "is empty"),
        (["elsewhere.yaml"], "kafka for scenario elsewhere"),
        (["twice.yaml"], "twice.yaml:3: steps.0.parallel.1: pause on redis: pause on redis (steps.0.parallel.0) is"),
        (["short.yaml"], "short.yaml:3: steps.0: latency on redis: --for: wanted more than the delay (2 s), found 1 s"),
        (["here.yaml"], "here.yaml:3: steps.0: partition on redis: --peer: wanted one of"),
    ],
)
def test_bad_input_is_told_and_hurts_nothing(shared: Scene, words: list[str], told: str) -> None:
    """Exit code 2; nothing was planned, no file was touched."""
    write(shared, "precious.txt", "do not lose me\n")
    write(shared, "empty.yaml", "")
    write(shared, "half.yaml", CHANCE[: CHANCE.index("recovery") - 5])
    probes = "\nprobes: {alive: {redis: PING, expect: {equals: []}}}\nsteps: [{fault: pauze, service: redis}]\n"
    write(shared, "bad.yaml", probes)
    one = "\nprobes: {alive: {redis: PING}}\nsteps: [{fault: %s}]\n"
    write(shared, "elsewhere.yaml", one % "kill, service: kafka")
    twice = "[{fault: pause, service: redis}, {fault: pause, service: redis}]"
    write(shared, "twice.yaml", f"\nprobes: {{alive: {{redis: PING}}}}\nsteps: [{{parallel: {twice}}}]\n")
    write(shared, "short.yaml", one % "latency, service: redis, with: {delay: 2s}, for: 1s")
    write(shared, "here.yaml", one % "partition, service: redis, with: {from: kafka}")
    said = shared.envctl("chaos", "run", *words, exits=2)
    assert told in said.err
    nothing_in_force(shared)
    assert (shared.folder / "precious.txt").read_text() == "do not lose me\n"


def test_what_is_in_force_already_is_told_before_anything_is_hurt(shared: Scene) -> None:
    """Exit code 2; which, by its id. Healed, the scenario goes."""
    before = shared.envctl("chaos", "pause", "postgres", "--for", "1h", "--detach", "--json").events[-1]["id"]
    text = "probes: {alive: {command: 'true'}}\nsteps: [{fault: restart, service: postgres}]\n"
    file = str(write(shared, "after.yaml", text))
    said = shared.envctl("chaos", "run", file, exits=2)
    assert f"{before} is in force on postgres for" in said.err
    assert f"`envctl chaos heal {before}` first" in said.err
    assert [fault["id"] for fault in in_force(shared)] == [before]
    shared.envctl("chaos", "heal", before)


def test_the_list_tells_those_that_ship_from_ones_own(shared: Scene) -> None:
    """One's own come first, under a folder; one that is broken is listed with its problem."""
    (shared.folder / "scenarios").mkdir()
    write(shared, "scenarios/mine.yaml", CHANCE)
    write(shared, "scenarios/broken.yaml", "steps: []\n")
    found = {row["name"]: row for row in shared.envctl("chaos", "scenarios", "--json").document}
    assert [name for name, row in found.items() if not row["shipped"]] == ["broken", "mine"]
    assert {name for name, row in found.items() if row["shipped"]} == set(SHIPPED)
    assert found["broken"]["problem"]
    assert "envctl" in shared.envctl("chaos", "scenarios").out
    assert "mine.yaml): HELD" in shared.envctl("chaos", "run", "mine").out


def test_without_an_environment_the_command_says_what_it_needs_or_makes_it(scene: Scene) -> None:
    """`--up` takes down what it brought up; the history stays."""
    file = write(scene, "small.yaml", "probes: {alive: {redis: PING}}\nsteps: [{fault: restart, service: redis}]\n")
    assert "up --service redis`" in scene.envctl("chaos", "run", str(file), exits=1).err
    assert "pauze" in scene.envctl("chaos", "run", str(write(scene, "b.yaml", PAUZE)), exits=2).err
    assert "HELD" in scene.envctl("chaos", "run", str(file), "--up").out
    assert history.read(scene.folder / "small.history.jsonl")
    scene.eventually(scene.is_gone)


PAUZE = "probes: {alive: {redis: PING}}\nsteps: [{fault: pauze, service: redis}]\n"

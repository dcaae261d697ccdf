"""Runs on toys: what each outcome is, that everything is healed whatever happens, and what the history tells."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from envctl.chaos.injecting import Wish, inject
from envctl.errors import ConfigurationError, UsageError
from envctl.events import listening
from envctl.scenarios import history
from envctl.scenarios.verdict import BrokenOff, Outcome
from tests.unit.chaos.toys import BEFORE, Scribble

if TYPE_CHECKING:
    from collections.abc import Callable

    from envctl.scenarios.calls import Chaos
    from envctl.scenarios.verdict import ScenarioVerdict
    from tests.unit.chaos.toys import ToyWard

LOOKS = """
import pathlib
asked = []
def word(env):
    asked.append(env.name)
    return env.ward.server("redis").read("word.txt")
def whole(env):
    return word(env) == "whole"
def never(env):
    return False
def slow(env):
    import threading
    threading.Event().wait(0.15)
    return "slow"
def hang(env):
    import threading
    threading.Event().wait(30)
"""
PRESS = """
import os, signal
def press(env):
    os.kill(os.getpid(), signal.SIGINT)
"""
ONE = """
probes:
  whole: {python: "looks.py:whole"}
steps:
  - {fault: scribble, service: redis, for: 100ms}
"""


@pytest.fixture(autouse=True)
def healed(ward: ToyWard) -> object:
    """Nothing is in force after a test, and every server holds what it held."""
    yield
    assert ward.journal.entries() == []
    assert all(ward.server(name).all() == BEFORE for name in ("redis", "postgres", "zookeeper"))


def test_what_holds_is_held(run: Callable[..., ScenarioVerdict]) -> None:
    """The verdict says what was hurt, that it was well again, and where the history is."""
    verdict = run(ONE, looks=LOOKS)
    assert (verdict.outcome, verdict.held, verdict.reasons) == (Outcome.HELD, True, ())
    [wound] = verdict.wounds
    assert (wound.fault, wound.service) == ("scribble", "redis")
    assert 0 < wound.began < wound.ended < verdict.seconds
    assert verdict.recovery is not None
    assert [tally.role for tally in verdict.tallies] == ["before", "after"]
    assert "HELD" in str(verdict)
    assert "redis by scribble" in str(verdict)
    assert json.loads(json.dumps(verdict.to_json()))["outcome"] == "held"


def test_nothing_is_hurt_where_it_is_not_steady_before(run: Callable[..., ScenarioVerdict], ward: ToyWard) -> None:
    """No fault was even planned."""
    verdict = run(ONE.replace("whole}", "whole}").replace(":whole", ":never"), looks=LOOKS)
    assert verdict.outcome is Outcome.NOT_STEADY
    assert "before anything was hurt" in verdict.reasons[0]
    assert verdict.wounds == ()
    assert ward.journal.history() == []


def test_work_that_fails_before_ends_the_run_before_anything_is_hurt(
    run: Callable[..., ScenarioVerdict], ward: ToyWard
) -> None:
    """And what is to be done at the end is done all the same."""
    verdict = run('prepare: [{python: "looks.py:never"}]\ncleanup: [{command: touch cleaned}]\n' + ONE, looks=LOOKS)
    assert verdict.outcome is Outcome.NOT_STEADY
    assert "never (prepare) failed: it said False" in verdict.reasons[0]
    assert (ward.root.parent / "scenarios" / "cleaned").exists()
    assert ward.journal.history() == []


def test_a_probe_that_fails_meanwhile_breaks_it(run: Callable[..., ScenarioVerdict]) -> None:
    """With the time, the fault and what was wrong; and the number that would be allowed."""
    text = """
probes:
  word: {python: "looks.py:word", expect: {equals: whole}, roles: [before, during, after], every: 20ms, tolerate: %d}
steps:
  - {fault: scribble, service: redis, for: 300ms}
"""
    verdict = run(text % 0, looks=LOOKS)
    assert verdict.outcome is Outcome.BROKEN
    assert "none is allowed" in verdict.reasons[0]
    assert "during scribble on redis: broken instead of 'whole'" in verdict.reasons[0]
    assert run(text % 1000, looks=LOOKS).outcome is Outcome.HELD


def test_a_failure_is_told_with_what_was_in_force_and_not_with_what_came_later(
    run: Callable[..., ScenarioVerdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that only looks yet has hurt nobody."""
    failed, plan = threading.Event(), Scribble.plan

    def late(*given: Any) -> dict[str, Any]:  # noqa: ANN401 - as `plan`
        assert failed.wait(60)
        return plan(*given)

    def hear(event: str, data: dict[str, object]) -> None:
        del data
        if event == "probe.failed":
            failed.set()

    monkeypatch.setattr(Scribble, "plan", late)
    text = """
probes:
  never: {python: "looks.py:never", roles: [during], every: 10ms, tolerate: 9999}
steps:
  - {fault: scribble, service: redis, for: 300ms}
"""
    with listening(hear):
        verdict = run(text, looks=LOOKS)
    [tally], [wound] = verdict.tallies, verdict.wounds
    assert tally.first_at is not None
    assert tally.first_at < wound.began
    assert tally.first_during == ()
    told = next(line for line in history.read(verdict.history) if line["event"] == "probe.failed")
    assert told["during"] == []


def test_a_probe_that_is_right_too_late_fails(run: Callable[..., ScenarioVerdict]) -> None:
    """`max_seconds` is a limit of its own, `timeout` another."""
    slow = ONE + "abort_when: []\n"
    verdict = run(slow.replace(':whole"', ':slow", max_seconds: 0.01'), looks=LOOKS)
    assert "right, but only after" in verdict.reasons[0]
    verdict = run(slow.replace(':whole"', ':hang", timeout: 50ms'), looks=LOOKS)
    assert "no answer within 0.05 s" in verdict.reasons[0]


def test_a_rule_ends_the_run_and_heals(run: Callable[..., ScenarioVerdict]) -> None:
    """Long before the fault's own time is over."""
    verdict = run(
        """
probes:
  whole: {python: "looks.py:whole", roles: [before, during], every: 10ms, tolerate: 99}
steps:
  - {fault: scribble, service: redis, for: 1h}
  - {fault: scribble, service: postgres, for: 1h}
abort_when:
  - {probe: whole, fails: 3}
""",
        looks=LOOKS,
    )
    assert verdict.outcome is Outcome.ABORTED
    assert "whole failed 3 times in a row" in verdict.reasons[0]
    assert [wound.service for wound in verdict.wounds] == ["redis"]


def test_a_run_that_takes_too_long_ends(run: Callable[..., ScenarioVerdict]) -> None:
    """`duration` ends whatever goes on: the steps of a fault, work, and the wait for something."""
    verdict = run(
        """
duration: 2s
probes:
  whole: {python: "looks.py:whole"}
steps:
  - fault: scribble
    service: redis
    while:
      - parallel:
          - run: {python: "looks.py:hang"}
          - run: {command: sleep 100}
          - until: {python: "looks.py:never", within: 1h}
          - wait: 1h
""",
        looks=LOOKS,
    )
    assert (verdict.outcome, verdict.reasons) == (Outcome.ABORTED, ("it took longer than 2 s",))
    assert verdict.seconds < 30


def test_what_never_comes_true_ends_the_run(run: Callable[..., ScenarioVerdict]) -> None:
    """And says which condition, and what was so instead."""
    step = '  - {wait: 1ms, when: {python: "looks.py:word", expect: {matches: gone}, within: 100ms}}\n'
    verdict = run(ONE + step, looks=LOOKS)
    assert verdict.outcome is Outcome.ABORTED
    assert "steps.1.when" in verdict.reasons[0]
    assert "whole does not match 'gone'" in verdict.reasons[0]


def test_a_fault_that_does_not_bite_ends_the_run(run: Callable[..., ScenarioVerdict]) -> None:
    """Its own error is the reason, and its lines are in the history."""
    verdict = run(ONE.replace("for: 100ms", "with: {tries: 60}"), looks=LOOKS)
    assert verdict.outcome is Outcome.ABORTED
    assert "scribble on redis: an effect of scribble" in verdict.reasons[0]
    assert "fault.healed" in {line["event"] for line in history.read(verdict.history)}


def test_what_stands_in_the_way_of_another_ends_the_run(run: Callable[..., ScenarioVerdict]) -> None:
    """Two of the same on one service, where the clock decides whether they meet."""
    verdict = run(
        """
probes:
  whole: {python: "looks.py:whole"}
steps:
  - fault: scribble
    service: redis
    for: 1h
    while:
      - wait: 1ms
      - {fault: scribble, service: redis}
""",
        looks=LOOKS,
    )
    assert verdict.outcome is Outcome.ABORTED
    assert "is in force there" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ("{parallel: [%s, %s]}", "steps.0.parallel.1: scribble on redis: scribble on redis (steps.0.parallel.0) is"),
        ("{parallel: [{serial: [%s, {wait: 1s}]}, %s]}", "(steps.0.parallel.0.serial.0) is in force"),
        ("{fault: scribble, service: redis, while: [{wait: 1ms}, {repeat: 2, steps: [%s]}]}", "holds files"),
        ("{fault: scribble, service: redis, for: 1h, while: [%s]}", "holds files; put them one after the other"),
        ("{parallel: [{fault: gag, service: redis, with: {thing: a}}, %s]}", "in the `while` of scribble on redis"),
        ("{fault: gag, service: redis, with: {thing: a}, while: [%s]}", "gag on redis keeps it from answering"),
    ],
)
def test_faults_that_would_meet_are_refused_before_anything_is_hurt(
    run: Callable[..., ScenarioVerdict], ward: ToyWard, steps: str, told: str
) -> None:
    """Whatever the clock says; with both places."""
    text = ONE[: ONE.index("steps:")] + f"steps:\n  - {steps.replace('%s', '{fault: scribble, service: redis}')}\n"
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        run(text, looks=LOOKS)
    assert ward.journal.history() == []


@pytest.mark.parametrize(
    "steps",
    [
        "{parallel: [%s, {fault: scribble, service: postgres, for: 10ms}]}",
        "{parallel: [%s, {serial: [{wait: 1s}, %s]}]}",
        "{serial: [%s, %s]}",
        "{fault: scribble, service: redis, with: {thing: a}, while: [{fault: gag, service: redis, for: 10ms}]}",
    ],
)
def test_faults_that_do_not_meet_for_certain_are_run(run: Callable[..., ScenarioVerdict], steps: str) -> None:
    """On other services, at other times, or of other things, the one that silences later."""
    some = steps.replace("%s", "{fault: scribble, service: redis, for: 10ms}")
    assert run(ONE[: ONE.index("steps:")] + f"steps:\n  - {some}\n", looks=LOOKS).wounds


@pytest.mark.parametrize("about", ["", "services: [postgres]\n", "recovery: {services: [postgres]}\n"])
def test_what_is_in_force_before_is_told_before_anything_is_hurt(
    run: Callable[..., ScenarioVerdict], ward: ToyWard, about: str
) -> None:
    """Which, by its id, and what to do; on what the scenario names, and on nothing else."""
    service = "postgres" if about else "redis"
    with inject(ward, Scribble(), service, Wish(3600.0)) as before:
        with pytest.raises(UsageError, match=f"{before.id} is in force on {service}") as refused:
            run(about + ONE, looks=LOOKS)
        assert f"`envctl chaos heal {before.id}` first" in refused.value.advice
        assert {line["id"] for line in ward.journal.history()} == {before.id}
    with inject(ward, Scribble(), "postgres", Wish(3600.0)):
        assert run(ONE, looks=LOOKS).held


def test_what_is_not_well_again_in_time_is_told(run: Callable[..., ScenarioVerdict]) -> None:
    """A probe that needs longer than the scenario allows."""
    text = ONE + '  - run: {python: "marks.py:mark"}\nrecovery: {within: 300ms, services: [], probes: [unmarked]}\n'
    marks = "import threading\nmarked = threading.Event()\nmark = lambda env: marked.set()\n"
    marks += "unmarked = lambda env: not marked.is_set()\n"
    text = text.replace(
        "steps:",
        '  unmarked: {python: "marks.py:unmarked", roles: [before]}\nsteps:\n  - run: {python: "marks.py:mark"}',
    )
    verdict = run(text, looks=LOOKS, marks=marks)
    assert verdict.outcome is Outcome.NOT_RECOVERED
    assert "0.3 s after the last fault: unmarked does not hold" in verdict.reasons[0]


def test_a_fault_that_cannot_be_healed_is_told(run: Callable[..., ScenarioVerdict], ward: ToyWard) -> None:
    """It stays in the journal, where it is tried again."""
    verdict = run(ONE.replace("scribble", "stubborn").replace("for: 100ms", "for: 10ms"), looks=LOOKS)
    assert verdict.outcome is Outcome.NOT_RECOVERED
    assert "the disk is read-only" in verdict.reasons[0]
    [entry] = ward.journal.entries()
    assert entry.problem
    mend(ward)


def test_what_is_broken_off_and_cannot_be_healed_is_not_said_to_be_healed(
    chaos: Chaos, ward: ToyWard, written: Callable[..., object]
) -> None:
    """That is told first, and then what ended the run."""
    text = ONE.replace("scribble", "stubborn").replace("for: 100ms", "while: [{run: {python: 'press.py:press'}}]")
    with pytest.raises(BrokenOff) as broken_off:
        chaos.run(str(written(text, looks=LOOKS, press=PRESS)))
    assert broken_off.value.verdict.outcome is Outcome.NOT_RECOVERED
    assert re.search("read-only.*; broken off by Ctrl-C", broken_off.value.verdict.reasons[0])
    mend(ward)


def mend(ward: ToyWard) -> None:
    """By hand, what envctl could not."""
    [entry] = ward.journal.entries()
    for file, before in BEFORE.items():
        (ward.server().folder / file).write_text(before)
    (ward.journal.path / f"{entry.id}.json").unlink()


def test_work_goes_on_in_the_background_and_is_told_to_end(run: Callable[..., ScenarioVerdict]) -> None:
    """`stop`: after the steps; `finish`: it is waited for. What a function returns is told."""
    verdict = run(
        """
probes:
  whole: {python: "looks.py:whole"}
steps:
  - run: {python: "work.py:until_told", with: {word: turns}}
    background: stop
  - run: {command: [sh, -c, "sleep 0.3; echo $TOY_URL $TOY_PASSWORD"]}
    background: finish
  - run: {command: sleep 100}
    background: stop
  - {fault: scribble, service: redis, for: 100ms}
""",
        looks=LOOKS,
        work="def until_told(env, stop, word):\n    assert stop.wait(30)\n    return f'told after {word}'\n",
    )
    assert verdict.held, str(verdict)
    assert [deed.result for deed in verdict.deeds] == ["told after turns", "toys://x ***", ""]
    assert "hunter2" not in verdict.history.read_text()


@pytest.mark.parametrize(
    ("work", "told"),
    [
        ('{python: "work.py:fails"}', "fails failed: OSError: no *** here"),
        ("{command: [sh, -c, 'echo on the way; exit 3']}", "exit code 3: on the way"),
        ("{command: no-such-program-anywhere}", "cannot be run: No such file"),
        ('{python: "work.py:hangs", within: 50ms}', "did not end within 0.05 s"),
        ("{command: sleep 100, within: 50ms}", "did not end within 0.05 s"),
    ],
)
def test_work_that_fails_breaks_it(run: Callable[..., ScenarioVerdict], work: str, told: str) -> None:
    """In the verdict's words, without secrets."""
    files = "import threading\ndef fails(env):\n    raise OSError('no hunter2 here')\n"
    files += "def hangs(env):\n    threading.Event().wait(10)\n"
    verdict = run(f"{ONE}  - run: {work}\n", looks=LOOKS, work=files)
    assert verdict.outcome is Outcome.BROKEN
    assert told in verdict.reasons[0]


def test_ctrl_c_heals_and_writes_the_history(chaos: Chaos, ward: ToyWard, written: Callable[..., object]) -> None:
    """It goes on to whoever ran it."""
    file = written(ONE.replace("for: 100ms", "while: [{run: {python: 'press.py:press'}}]"), looks=LOOKS, press=PRESS)
    with pytest.raises(KeyboardInterrupt) as broken_off:
        chaos.run(str(file))
    assert isinstance(broken_off.value, BrokenOff)
    assert broken_off.value.verdict.reasons == ("broken off by Ctrl-C (SIGINT)",)
    [told] = ward.folder.path.glob("scenarios/*.jsonl")
    assert history.read(told)[-1]["outcome"] == "aborted"
    assert "fault.healed" in {line["event"] for line in history.read(told)}


@pytest.mark.parametrize("when", ["save", "say"])
def test_a_fault_that_was_broken_off_as_it_was_written_down_is_in_the_history(
    chaos: Chaos, ward: ToyWard, written: Callable[..., object], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Nobody had been told yet that it was planned; it was healed all the same."""
    done, pressed = getattr(ward.journal, when), threading.Event()

    def press(*given: object, **more: object) -> object:
        if pressed.is_set() or when == "save":
            answer: object = done(*given, **more)
        if not pressed.is_set():
            pressed.set()
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(ward.journal, when, press)
    with pytest.raises(KeyboardInterrupt):
        chaos.run(str(written(ONE, looks=LOOKS)))
    [told] = ward.folder.path.glob("scenarios/*.jsonl")
    assert "fault.healed" in {line["event"] for line in history.read(told)}


ALL_KINDS = """
seed: 5
probes:
  whole: {python: "looks.py:whole", roles: [before, during, after], every: 10ms, tolerate: 999}
steps:
  - serial:
      - {fault: scribble, service: redis, with: {word: one}, for: 20ms}
      - repeat: 2
        steps:
          - {fault: brief, service: postgres, for: 10ms}
          - wait: 5ms
  - parallel:
      - {fault: scribble, service: redis, for: 40ms, when: {probe: whole}}
      - {fault: scribble, service: postgres, for: 20ms}
      - wait: 10ms
  - random:
      faults:
        - {fault: scribble, service: redis, for: 10ms}
        - {fault: scribble, service: postgres, for: 10ms}
        - {fault: scribble, service: redis, with: {word: other}, for: 10ms}
      count: 6
      between: 1ms..9ms
  - until: {python: "looks.py:whole", within: 5s}
  - run: {python: "looks.py:word"}
"""


def test_a_replay_tells_the_same_story(chaos: Chaos, written: Callable[..., object]) -> None:
    """Same seed, same choices, same order, the faults' own choices; only times, ids and measured values differ."""
    first = chaos.run(str(written(ALL_KINDS, looks=LOOKS)), seed=77)
    assert first.held, str(first)
    again = chaos.run(replay=first.history)
    one, other = history.read(first.history), history.read(again.history)
    assert again.seed == 77
    assert history.differences(one, other) == []
    assert {line["id"] for line in one if "id" in line}.isdisjoint({line["id"] for line in other if "id" in line})
    chosen = [line["value"] for line in one if line["event"] == "scenario.chosen" and line["what"].endswith("fault")]
    assert len(chosen) == 6
    another = chaos.run(str(written(ALL_KINDS, looks=LOOKS)), seed=78)
    assert history.differences(one, history.read(another.history)) != []


def test_a_replay_makes_the_choices_and_does_not_draw_them(chaos: Chaos, written: Callable[..., object]) -> None:
    """What the history says counts, not what the seed would give; of the faults' own choices too."""
    first = chaos.run(str(written(ALL_KINDS, looks=LOOKS)))
    lines = history.read(first.history)
    for line in lines:
        if line["event"] == "scenario.chosen" and line["what"] == "steps.2#1.fault":
            line["value"] = 2
        if line["event"] == "scenario.fault" and line["place"] == "steps.0.serial.0":
            line["choices"] = {"digit": 1}
    first.history.write_text("".join(json.dumps(line) + "\n" for line in lines))
    again = history.read(chaos.run(replay=first.history).history)
    assert any(line.get("place") == "steps.2.random.faults.2#1" for line in again)
    [fault] = [line for line in again if line["event"] == "scenario.fault" and line["place"] == "steps.0.serial.0"]
    assert fault["choices"] == {"digit": 1}


def test_a_history_is_on_one_clock_and_begins_and_ends(run: Callable[..., ScenarioVerdict]) -> None:
    """The scenario's own lines, the probes', and the faults', in order of time."""
    lines = history.read(run(ALL_KINDS, looks=LOOKS).history)
    assert [line["monotonic"] for line in lines] == sorted(line["monotonic"] for line in lines)
    assert (lines[0]["event"], lines[-1]["event"]) == ("scenario.started", "scenario.verdict")
    assert {"scenario", "probe", "fault"} == {line["event"].partition(".")[0] for line in lines}

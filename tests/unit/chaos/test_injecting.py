"""What injecting and healing promise, on toys."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from envctl.catalog import SERVICES
from envctl.chaos.healing import heal, heal_all
from envctl.chaos.injecting import Wish, inject, make
from envctl.chaos.recovery import wait_recovered
from envctl.errors import (
    ConfigurationError,
    FaultConflict,
    FaultDidNotBite,
    FaultError,
    FaultUnfit,
    HealFailed,
    NotReadyInTime,
    UnknownName,
    VictimNeverCame,
)
from envctl.journal import Stage
from envctl.model import State
from tests.unit.chaos.toys import BEFORE, WOKEN, Brief, Deaf, Gag, Lurker, Scribble, Stubborn, ToyWard, container

if TYPE_CHECKING:
    from pathlib import Path

    from envctl.site import Site

HURT = {"word.txt": "broken"}


def test_a_fault_bites_while_it_is_in_force_and_leaves_nothing(ward: ToyWard) -> None:
    """The block is hurt, what follows is not."""
    with inject(ward, Scribble(), "redis", Wish()) as injection:
        assert ward.server().read("word.txt") == "broken"
        assert injection.evidence == {"read": "broken"}
        assert [entry.stage for entry in ward.journal.entries()] == [Stage.VERIFIED]
    assert ward.server().all() == BEFORE
    assert ward.journal.entries() == []
    assert injection.healed is not None
    assert injection.healed.stage is Stage.HEALED


def test_the_history_tells_everything_in_its_order(ward: ToyWard) -> None:
    """One line for each change of state, on a clock that only goes forward."""
    injection = inject(ward, Scribble(), "redis", Wish(seed=7))
    injection.heal()
    lines = ward.journal.history()
    assert [line["event"].removeprefix("fault.") for line in lines] == [
        "planned",
        "applied",
        "injected",
        "healing",
        "healed",
    ]
    assert {line["id"] for line in lines} == {injection.id}
    assert lines[0]["seed"] == 7
    clock = [line["monotonic"] for line in lines]
    assert clock == sorted(clock)


def test_one_that_takes_no_effect_is_healed_and_told(ward: ToyWard) -> None:
    """A test that hurts nothing must not pass."""
    with pytest.raises(FaultDidNotBite, match="saw nothing"):
        inject(ward, Scribble(tries=1000), "redis", Wish())
    assert ward.server().all() == BEFORE
    assert ward.journal.entries() == []


def test_what_the_service_cannot_have_is_refused_untouched(ward: ToyWard) -> None:
    """With what to use instead."""
    with pytest.raises(FaultUnfit, match="use pause"):
        inject(ward, Scribble(), "zookeeper", Wish())
    assert ward.journal.history() == []


def test_a_service_that_was_paused_by_hand_is_told_as_that(ward: ToyWard) -> None:
    """With what has it go on: to wait would be in vain. Nothing was asked of it, nor written down."""
    ward.engine.now["redis"] = replace(container("redis"), state=State.PAUSED)  # type: ignore[attr-defined]
    with pytest.raises(FaultError, match="its container is paused") as told:
        inject(ward, Scribble(), "redis", Wish())
    assert told.value.advice == "`docker unpause envctl-shop-redis-1`, then try again"
    assert ward.journal.history() == []


def test_one_that_was_paused_by_a_fault_is_told_with_that(ward: ToyWard) -> None:
    """Not as if somebody's hand had done it."""
    with inject(ward, Gag(thing="b"), "redis", Wish()):
        ward.engine.now["redis"] = replace(container("redis"), state=State.PAUSED)  # type: ignore[attr-defined]
        with pytest.raises(FaultConflict, match="keeps it from answering"):
            inject(ward, Scribble(), "redis", Wish())


@pytest.mark.parametrize("half", [False, True])
def test_what_is_refused_when_it_is_to_begin_is_told_as_that(
    ward: ToyWard, monkeypatch: pytest.MonkeyPatch, half: bool
) -> None:
    """Not as healed: it never was in force. What was done until then is undone."""

    def refuse(self: Scribble, site: Site, plan: dict[str, Any]) -> None:
        del self, plan
        if half:
            (site.kept["server"].folder / "word.txt").write_text("half")
        raise FaultUnfit("scribble on redis", "somebody's own queue is there", "remove it")

    monkeypatch.setattr(Scribble, "apply", refuse)
    with pytest.raises(FaultUnfit, match="somebody's own queue"):
        inject(ward, Scribble(), "redis", Wish())
    assert ward.server().all() == BEFORE
    lines = ward.journal.history()
    assert [line["event"] for line in lines] == ["fault.planned", "fault.refused"]
    assert lines[-1]["reason"] == "somebody's own queue is there"
    ended = ward.journal.ended(lines[0]["id"])
    assert ended is not None
    assert (ended.stage, ended.problem) == (Stage.REFUSED, "somebody's own queue is there")


def test_every_impossible_parameter_is_told_at_once(ward: ToyWard) -> None:
    """Nothing is tried one by one."""
    with pytest.raises(ConfigurationError) as refused:
        make("scribble", "redis", {"tries": "many", "word": 5}, "soon")
    assert [problem.key for problem in refused.value.problems] == ["--tries", "--word", "--for"]
    with pytest.raises(ConfigurationError, match="found ''"):
        inject(ward, Scribble(word=""), "redis", Wish())
    assert ward.journal.history() == []


def test_what_cannot_be_read_and_what_cannot_be_is_told_in_one_round() -> None:
    """But nothing in view of a value that could not be read, and nothing twice."""
    redis = SERVICES["redis"]

    def told(fault: str, given: dict[str, object], lasting: object = 5) -> list[str]:
        with pytest.raises(ConfigurationError) as refused:
            make(fault, "redis", given, lasting, known=redis)
        return [(problem.key or problem.message).partition(":")[0] for problem in refused.value.problems]

    given = {"delay": "1m", "port": "http", "jitter": "x"}
    assert told("latency", given, "soon") == ["--jitter", "--for", "--port", "--delay"]
    assert told("latency", {"delay": "x", "jitter": "1s"}) == ["--delay"]
    assert told("break-dns", {"mode": "fail", "backend": "nfqueue"}, "soon") == ["--for", "--backend"]


@pytest.mark.parametrize("lasting", [0, -1, "0s", float("nan"), float("inf"), "25h", None, True, [1]])
def test_no_time_and_endless_time_are_refused(ward: ToyWard, lasting: object) -> None:
    """A fault ends."""
    del ward
    with pytest.raises(ConfigurationError, match="--for"):
        make("scribble", "redis", {}, lasting)


def test_unknown_names_are_told_with_the_nearest(ward: ToyWard) -> None:
    """Faults, parameters, services."""
    with pytest.raises(UnknownName, match="did you mean 'scribble'"):
        make("scrible", "redis", {})
    with pytest.raises(UnknownName, match="did you mean 'word'"):
        make("scribble", "redis", {"wrd": "x"})
    with pytest.raises(UnknownName, match="did you mean 'redis'"):
        inject(ward, Scribble(), "redys", Wish())


def test_two_that_hurt_the_same_are_refused_and_two_that_do_not_go_together(ward: ToyWard) -> None:
    """The claim decides."""
    with inject(ward, Scribble(), "redis", Wish()) as first:
        with pytest.raises(FaultConflict, match=first.id):
            inject(ward, Scribble(), "redis", Wish())
        inject(ward, Scribble(), "postgres", Wish()).heal()
        assert ward.server().read("word.txt") == "broken"


def test_injectors_in_many_threads_never_both_win(ward: ToyWard) -> None:
    """Planning is one at a time; what was refused has touched nothing."""
    barrier, outcomes = threading.Barrier(8, timeout=60), []

    def race() -> None:
        barrier.wait()
        try:
            outcomes.append(inject(ward, Scribble(), "redis", Wish()))
        except FaultConflict:
            outcomes.append(None)

    threads = [threading.Thread(target=race, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    [winner] = [outcome for outcome in outcomes if outcome]
    winner.heal()
    assert ward.server().all() == BEFORE


def test_healing_from_many_threads_heals_once(ward: ToyWard) -> None:
    """Idempotent, and concurrent calls included."""
    injection = inject(ward, Scribble(), "redis", Wish())
    with ThreadPoolExecutor(8) as pool:
        healed = [each for each in pool.map(lambda _: heal(ward, injection.id), range(8)) if each]
    assert len(healed) == 1
    assert injection.heal().stage is Stage.HEALED
    assert [line["event"] for line in ward.journal.history()].count("fault.healed") == 1


def test_what_silences_is_healed_before_what_was_injected_earlier(ward: ToyWard) -> None:
    """Else the earlier one could not be healed at all."""
    first = inject(ward, Scribble(thing="a"), "redis", Wish())
    second = inject(ward, Gag(thing="b", word="mute"), "redis", Wish())
    first.heal()
    assert [line["id"] for line in ward.journal.history() if line["event"] == "fault.healed"] == [second.id, first.id]
    assert ward.server().all() == BEFORE


def test_nothing_is_injected_into_a_service_that_cannot_be_heard(ward: ToyWard) -> None:
    """Its snapshot could not be taken."""
    with inject(ward, Gag(thing="b"), "redis", Wish()), pytest.raises(FaultConflict, match="keeps it from answering"):
        inject(ward, Scribble(thing="a"), "redis", Wish())


def test_what_cannot_be_healed_is_told_and_kept_and_the_others_are_healed(ward: ToyWard) -> None:
    """The journal holds it until it can be."""
    stuck = inject(ward, Stubborn(thing="a"), "postgres", Wish())
    inject(ward, Scribble(), "redis", Wish())
    healed, failed = heal_all(ward)
    assert [one.fault for one in healed] == ["scribble"]
    assert [error.fault for error in failed if isinstance(error, HealFailed)] == [stuck.id]
    assert "read-only" in str(failed[0])
    assert [(entry.id, "read-only" in entry.problem) for entry in ward.journal.entries()] == [(stuck.id, True)]


def test_a_failing_block_keeps_its_own_error(ward: ToyWard) -> None:
    """What goes wrong with healing is a note on it."""
    with pytest.raises(ZeroDivisionError) as failed, inject(ward, Stubborn(), "redis", Wish()):
        _ = 1 / 0
    assert "read-only" in failed.value.__notes__[0]


def test_a_replaced_container_makes_it_lost(ward: ToyWard) -> None:
    """What lived in the processes went with them; what lives in the data is healed where the data is."""
    brief = inject(ward, Brief(thing="a"), "redis", Wish())
    lasting = inject(ward, Scribble(thing="b"), "redis", Wish())
    ward.engine.now["redis"] = replace(container("redis"), started_at="later")  # type: ignore[attr-defined]
    assert (brief.heal().stage, lasting.heal().stage) == (Stage.LOST, Stage.HEALED)
    assert "started anew" in brief.heal().problem


def test_what_it_was_applied_to_is_gone(ward: ToyWard) -> None:
    """Lost, not healed; and nothing stays in the journal."""
    injection = inject(ward, Scribble(), "redis", Wish())
    del ward.engine.now["redis"]  # type: ignore[attr-defined]
    assert [each.stage for each in heal_all(ward)[0]] == [Stage.LOST]
    assert injection.heal().problem == "its container is gone"
    assert ward.journal.entries() == []


def test_a_seed_makes_the_same_choices_and_a_replay_those_of_the_time(ward: ToyWard) -> None:
    """Both are recorded."""
    runs = [inject(ward, Scribble(), "redis", Wish(seed=seed)) for seed in (1,)]
    first = runs[0].choices
    runs[0].heal()
    again = inject(ward, Scribble(), "redis", Wish(seed=1))
    again.heal()
    replayed = inject(ward, Scribble(), "redis", Wish(seed=2, replayed={"digit": 5}))
    assert ward.server().read("number.txt") == "5"
    replayed.heal()
    assert first == again.choices
    assert replayed.choices == {"digit": 5}


def test_recovered_means_that_nothing_is_in_force(ward: ToyWard) -> None:
    """A fault whose time is not over is named."""
    with inject(ward, Scribble(), "redis", Wish()) as injection, pytest.raises(NotReadyInTime, match=injection.id):
        wait_recovered(ward, "redis", 0.1)


@pytest.mark.usefixtures("ward")
def test_a_kill_between_any_two_steps_leaves_nothing_that_healing_does_not_mend(tmp_path: Path) -> None:
    """SIGKILL before and after every step of injecting and of healing, each in a process of its own."""

    def run(at: int) -> tuple[int, str]:
        root = tmp_path / "homes" / str(at)
        program = f"from tests.unit.chaos.toys import main; main({str(root / 'servers')!r}, {at})"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"XDG_STATE_HOME": str(root / "state"), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    code, steps = run(0)
    assert code == 0, steps
    assert int(steps) > 25
    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(run, range(1, int(steps) + 1)))
    assert {code for code, _ in ends} == {-9}
    for at in range(1, int(steps) + 1):
        root = tmp_path / "homes" / str(at)
        other = ToyWard(root / "servers")
        other.journal.path = root / "state" / "envctl" / "shop" / "faults"
        healed, failed = heal_all(other)
        assert failed == [], at
        assert {one.stage for one in healed} <= {Stage.HEALED}, at
        assert other.server().all() == BEFORE, at
        assert other.journal.entries() == [], at
        assert all(json.loads(path.read_text())["stage"] == "healed" for path in other.journal.path.glob("done/*.json"))


@pytest.mark.parametrize("seed", [-1, 1.5, "seven", True])
def test_a_seed_is_a_whole_number(ward: ToyWard, seed: object) -> None:
    """Told together with what else is wrong."""
    del ward
    with pytest.raises(ConfigurationError) as told:
        make("scribble", "redis", {"tries": "x"}, 5, seed)
    assert {problem.key for problem in told.value.problems} == {"--tries", "--seed"}


def test_an_injection_shows_what_it_is(ward: ToyWard) -> None:
    """In a debugger, and in a failing test's report."""
    injection = inject(ward, Scribble(), "redis", Wish())
    assert repr(injection).startswith(f"<{injection.id} on redis: ")
    assert "s left" in repr(injection)
    injection.heal()
    assert repr(injection) == f"<{injection.id} on redis: healed>"


def test_no_victim_because_it_was_healed_is_told_as_that(ward: ToyWard) -> None:
    """Not as the lost connection that this looked like to who waited."""
    injection = inject(ward, Lurker(), "redis", Wish())
    heal(ward, injection.id)
    with pytest.raises(VictimNeverCame, match="it was healed before one came"):
        injection.wait()


def test_one_that_is_never_done_is_told_as_that_and_healed(ward: ToyWard) -> None:
    """Who asks for its verdict waits for its time and for that of healing, and no longer."""
    WOKEN.clear()
    injection = inject(ward, Deaf(), "redis", Wish(0.2))
    try:
        with pytest.raises(FaultError, match="it still waits for redis"):
            _ = injection.verdict
        assert injection.heal().stage is Stage.HEALED
    finally:
        WOKEN.set()


def test_no_victim_in_its_time_is_told_as_that(ward: ToyWard) -> None:
    """Whatever ended the wait."""
    injection = inject(ward, Lurker(), "redis", Wish(0.2))
    with pytest.raises(VictimNeverCame, match="none came before its time was over"):
        injection.wait()
    injection.heal()

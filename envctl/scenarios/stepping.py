"""The steps at work: each waits for its condition, does what it says, and heals what it hurt, however it ends."""

from __future__ import annotations

import contextvars
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from envctl.chaos.injecting import Wish, inject, make
from envctl.engine import owner
from envctl.errors import EnvctlError, HealFailed
from envctl.journal import Stage
from envctl.protocols import NotReady
from envctl.scenarios.model import Background, Chance, Hurt, Labour, Serial, Step, Until, Wait
from envctl.scenarios.notes import Stopped
from envctl.scenarios.reading import lasting
from envctl.scenarios.verdict import Outcome
from envctl.waiting import TimedOut, until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from envctl.chaos.injection import Injection
    from envctl.chaos.ward import Ward
    from envctl.scenarios.labour import Labour as Begun
    from envctl.scenarios.labour import Labours
    from envctl.scenarios.model import Condition
    from envctl.scenarios.notes import Notes
    from envctl.scenarios.probing import Probing
    from envctl.scenarios.recovering import Recovering
    from envctl.site import Dice

_SEEDS = 1 << 32


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a step is done: in which row of steps, and in which turn of those that are repeated."""

    track: str = "steps"
    turn: str = ""

    def name(self, step: Step) -> str:
        """The step's place, by which its choices are known."""
        return ".".join(step.place) + self.turn


class Stepping:
    """Does the steps of one run. `begun` is the work that goes on in the background."""

    def __init__(
        self,
        ward: Ward,
        notes: Notes,
        probing: Probing,
        labours: Labours,
        recovering: Recovering,
        dice: Dice,
        of_faults: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._ward, self._notes, self._probing, self._labours = ward, notes, probing, labours
        self._recovering, self._dice, self._of_faults = recovering, dice, of_faults
        self.begun: list[tuple[Begun, Background]] = []
        self._kinds: dict[type[Step], Callable[[Any, Spot], None]] = {
            Hurt: self._hurt,
            Serial: self._serial,
            Chance: self._chance,
            Wait: self._wait,
            Until: self._until,
            Labour: self._labour,
        }

    def do(self, step: Step, spot: Spot = Spot()) -> None:
        """Do one step, with all in it.

        Raises:
            Stopped: the run ends early; what this step hurt is healed.

        """
        self._notes.require_going()
        if step.when is not None:
            self._await(step.when)
        if step.place != ("steps",):
            self._say("step", step, spot, kind=type(step).__name__.lower())
        self._kinds[type(step)](step, spot)

    def _serial(self, step: Serial, spot: Spot) -> None:
        for number in range(step.times):
            turn = replace(spot, turn=f"{spot.turn}#{number + 1}") if step.times > 1 else spot
            if step.at_once:
                self._parallel(step.steps, turn)
            else:
                for inner in step.steps:
                    self.do(inner, turn)

    def _parallel(self, steps: Sequence[Step], spot: Spot) -> None:
        """A thread for each; the first that cannot go on ends the run, and with it the others."""
        errors: list[BaseException] = []

        def branch(step: Step) -> None:
            try:
                self.do(step, replace(spot, track=spot.name(step)))
            except BaseException as error:  # noqa: BLE001 - raised by whoever waits
                errors.append(error)
                self._notes.stop.set()

        threads = [
            threading.Thread(
                target=contextvars.copy_context().run, args=(branch, step), name=spot.name(step), daemon=True
            )
            for step in steps
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:
            self._notes.stop.set()
            for thread in threads:
                thread.join()
            raise
        if errors:
            raise next((error for error in errors if not isinstance(error, Stopped)), errors[0])

    def _chance(self, step: Chance, spot: Spot) -> None:
        name = spot.name(step)
        for number in range(1, step.count + 1):
            turn = replace(spot, turn=f"{spot.turn}#{number}")
            low, high = round(step.shortest * 1000), round(step.longest * 1000)
            if high:
                self._pause(self._whole(f"{name}#{number}.pause_ms", low, high) / 1000)
            chosen = self._whole(f"{name}#{number}.fault", 0, len(step.faults) - 1)
            self.do(step.faults[chosen], turn)

    def _wait(self, step: Wait, spot: Spot) -> None:
        del spot
        self._pause(step.seconds)

    def _until(self, step: Until, spot: Spot) -> None:
        del spot
        if step.condition is not None:
            self._await(step.condition)

    def _labour(self, step: Labour, spot: Spot) -> None:
        if step.work is None:
            return
        begun = self._labours.begin(step.work, spot.name(step), spot.track)
        if step.background is not None:
            self.begun.append((begun, step.background))
        else:
            begun.finish(stop=self._notes.stop)

    def _hurt(self, step: Hurt, spot: Spot) -> None:
        name, notes = spot.name(step), self._notes
        fault, seconds = make(step.fault, step.service, step.given, lasting(step, notes.scenario))
        seed = self._whole(f"{name}.seed", 0, _SEEDS - 1)
        chosen, holder = dict(self._of_faults.get(name, {})), owner.this_process()
        wish = Wish(seconds, seed, chosen, holder, acting=lambda: notes.acting(name, str(step)))
        try:
            with notes.meant(name, self._recovering):
                notes.intend(step.fault, step.service, seed)
                injection = inject(self._ward, fault, step.service, wish)
                notes.wounded(name, step.fault, step.service, injection.id)
                what = {"id": injection.id, "fault": step.fault, "service": step.service}
                how = {"parameters": fault.parameters(), "seed": seed, "choices": injection.choices}
                self._say("fault", step, spot, **what, **how)
                try:
                    self._meanwhile(step, injection, spot)
                except BaseException as error:
                    # That it could not be healed, too, does not stand in its place.
                    if not isinstance(error, Stopped | EnvctlError):
                        notes.broken_off(error)
                    try:
                        self._heal(step, injection, spot)
                    except EnvctlError as failure:
                        self._failed(step, failure)
                    raise
                self._heal(step, injection, spot)
        except EnvctlError as error:
            self._failed(step, error)
            raise Stopped from error

    def _failed(self, step: Hurt, error: EnvctlError) -> None:
        """A fault could not be put in force, or not be healed: the run ends."""
        outcome = Outcome.NOT_RECOVERED if isinstance(error, HealFailed) else Outcome.ABORTED
        self._notes.end(outcome, f"{step}: {error.wanted}: {error.found}" + _also(error))

    def _meanwhile(self, step: Hurt, injection: Injection, spot: Spot) -> None:
        """What goes on while it is in force: its own steps, or the time that it has."""
        if step.meanwhile:
            for inner in step.meanwhile:
                self.do(inner, spot)
        elif not injection.fault.momentary:

            def over() -> None:
                done = injection.gives_verdict or injection.failure is not None
                if not done and injection.left > 0 and injection.in_force:
                    raise NotReady(f"{injection.left:.1f} s left")

            self._wait_for(over, float("inf"), f"{step} over")

    def _heal(self, step: Hurt, injection: Injection, spot: Spot) -> None:
        self._notes.lifting()
        healed = injection.heal()
        problem = healed.problem if healed.stage is Stage.LOST else ""
        self._notes.healed(injection.id, problem)
        self._say("lifted", step, spot, id=injection.id, stage=str(healed.stage), problem=problem, ms=healed.ms)
        if isinstance(injection.failure, EnvctlError) and not self._notes.stop.is_set():
            raise injection.failure

    def _await(self, condition: Condition) -> None:
        """Wait until it is fulfilled; else the run ends."""

        def probe() -> None:
            answer = self._probing.ask(condition.question)
            if not answer.holds:
                raise NotReady(answer.problem)

        try:
            self._wait_for(probe, condition.within, str(condition))
        except TimedOut as error:
            place = ".".join(condition.question.place)
            reason = f"{condition} ({place}) was not so within {condition.within:g} s: {error.last}"
            self._notes.end(Outcome.ABORTED, reason)
            raise Stopped from error

    def _pause(self, seconds: float) -> None:
        if self._notes.stop.wait(seconds):
            raise Stopped

    def _wait_for(self, probe: Callable[[], None], within: float, what: str) -> None:
        try:
            until(probe, within, what, self._notes.stop)
        except TimedOut:
            self._notes.require_going()
            raise

    def _whole(self, what: str, low: int, high: int) -> int:
        """A choice, which goes into the history."""
        value = self._dice.whole(what, low, high)
        track = "choices " + what
        self._notes.history.say("scenario.chosen", what=what, value=value, track=track)
        return value

    def _say(self, event: str, step: Step, spot: Spot, **facts: object) -> None:
        self._notes.history.say(f"scenario.{event}", place=spot.name(step), track=spot.track, **facts)


def _also(error: BaseException) -> str:
    """What went wrong besides."""
    return "".join(f"; {note}" for note in getattr(error, "__notes__", ()))

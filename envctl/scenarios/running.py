"""One run, from the first look to the verdict: prepare, probe, hurt, heal, recover, probe, clean up."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from envctl.chaos.healing import heal_all
from envctl.scenarios.labour import Labours
from envctl.scenarios.model import Background, Role
from envctl.scenarios.notes import Notes, Stopped
from envctl.scenarios.probing import Probing
from envctl.scenarios.programs import Programs
from envctl.scenarios.recovering import Recovering
from envctl.scenarios.stepping import Stepping
from envctl.scenarios.verdict import BrokenOff, Outcome
from envctl.scenarios.watching import Watching
from envctl.site import Dice

if TYPE_CHECKING:
    from envctl.chaos.ward import Ward
    from envctl.scenarios.history import History
    from envctl.scenarios.host import Host
    from envctl.scenarios.model import Work
    from envctl.scenarios.reading import Loaded
    from envctl.scenarios.replaying import Past
    from envctl.scenarios.verdict import ScenarioVerdict


class Running:
    """One scenario on one environment; `go` once."""

    def __init__(
        self, loaded: Loaded, env: Host, ward: Ward, history: History, seed: int, origin: str, past: Past | None = None
    ) -> None:
        self._scenario, self._env, self._ward, self._history = loaded.scenario, env, ward, history
        self._seed, self._origin = seed, origin
        self._notes = Notes(loaded.scenario, history)
        programs = Programs(env, loaded.functions.folder)
        self._probing = Probing(env, loaded.functions, self._address, programs)
        self._labours = Labours(env, loaded.functions, programs, self._notes)
        dice = Dice(seed, dict(past.choices) if past else None)
        of_faults = past.of_faults if past else {}
        self._recovering = Recovering(loaded.scenario, env, self._probing)
        parts = (self._probing, self._labours, self._recovering)
        self._stepping = Stepping(ward, self._notes, *parts, dice, of_faults)
        self._folder = str(loaded.functions.folder.absolute())

    def go(self) -> ScenarioVerdict:
        """Run it. Whatever happens, everything that it hurt is healed, and its history is written.

        Raises:
            BrokenOff: Ctrl-C, or a signal that the program takes for it; with the verdict.

        """
        scenario, notes = self._scenario, self._notes
        self._history.say(
            "scenario.started",
            scenario=scenario.name,
            origin=self._origin,
            environment=self._env.name,
            seed=self._seed,
            digest=scenario.digest,
            folder=self._folder,
            document=dict(scenario.document),
        )
        late = f"it took longer than {scenario.duration:g} s"
        limit = threading.Timer(scenario.duration, notes.end, (Outcome.ABORTED, late))
        limit.daemon = True
        limit.start()
        try:
            with suppress(Stopped):
                self._run(limit)
        except BaseException as error:
            notes.broken_off(error)
            limit.cancel()
            verdict = self._close()
            if isinstance(error, KeyboardInterrupt):
                raise BrokenOff(verdict) from error
            raise
        limit.cancel()
        return self._close()

    def _run(self, limit: threading.Timer) -> None:
        self._prepare()
        self._require_steady()
        try:
            with Watching(self._scenario.having(Role.DURING), self._probing, self._notes):
                self._stepping.do(self._scenario.steps)
        finally:
            limit.cancel()
        self._notes.require_going()
        self._recover()
        self._finish()
        for probe in self._scenario.having(Role.AFTER):
            self._notes.answered(probe, Role.AFTER, self._probing.ask(probe.question))

    def _prepare(self) -> None:
        for work in self._scenario.prepare:
            deed = self._labours.begin(work, ".".join(work.place), "steps").finish(stop=self._notes.stop)
            if deed.problem:
                self._notes.end(Outcome.NOT_STEADY, f"{deed.work} (prepare) failed: {deed.problem}")
                raise Stopped

    def _require_steady(self) -> None:
        wrong = []
        for probe in self._scenario.having(Role.BEFORE):
            self._notes.require_going()
            answer = self._probing.ask(probe.question)
            self._notes.answered(probe, Role.BEFORE, answer)
            if not answer.holds:
                wrong.append(f"{probe.name} did not hold before anything was hurt: {answer.problem}")
        self._history.say("scenario.steady", ok=not wrong)
        if wrong:
            self._notes.end(Outcome.NOT_STEADY, wrong[0])
            raise Stopped

    def _recover(self) -> None:
        """Hear whether what was hurt was well again as soon as it must be."""
        seconds, problem = self._recovering.result()
        self._history.say("scenario.recovered", ok=not problem, ms=round(seconds * 1000), problem=problem)
        if problem:
            reason = f"{self._scenario.recovery.within:g} s after the last fault: {problem}"
            self._notes.end(Outcome.NOT_RECOVERED, reason)
            raise Stopped
        self._notes.recovery = seconds if self._notes.hurt else None

    def _finish(self) -> None:
        """Wait for the work in the background; what is there to be stopped is told so."""
        while self._stepping.begun:
            begun, kind = self._stepping.begun[0]
            begun.finish(tell=kind is Background.STOP)
            self._stepping.begun.pop(0)

    def _close(self) -> ScenarioVerdict:
        """End all work, heal what is left, clean up, write the history."""
        self._recovering.end()
        for begun, _ in self._stepping.begun:
            begun.abandon()
        self._heal_rest()
        for work in self._scenario.cleanup:
            self._clean(work)
        verdict = self._notes.verdict(self._seed, self._origin)
        self._history.say("scenario.verdict", **{**verdict.to_json(), "scenario": self._scenario.name})
        self._history.close(self._others())
        return verdict

    def _heal_rest(self) -> None:
        """Heal what a step could not, or had no time to."""
        mine = self._notes.is_mine
        _, failed = heal_all(self._ward, lambda entry: mine(entry.fault, entry.service, entry.seed))
        for error in failed:
            self._notes.end(Outcome.NOT_RECOVERED, f"{error.wanted}: {error.found}")

    def _clean(self, work: Work) -> None:
        deed = self._labours.begin(work, ".".join(work.place), "steps").finish()
        if deed.problem:
            self._notes.end(Outcome.BROKEN, f"{deed.work} (cleanup) failed: {deed.problem}")

    def _others(self) -> list[dict[str, Any]]:
        """The lines of this run's faults, and of the operations that clients told of meanwhile."""
        began = self._history.lines()[0]["monotonic"]
        lines = [line for line in self._ward.journal.history() if line["monotonic"] >= began]
        planned = [line for line in lines if line["event"] == "fault.planned"]
        mine = {line["id"] for line in planned if self._notes.is_mine(line["fault"], line["service"], line["seed"])}
        # One that was broken off before it was told as planned is this run's all the same.
        known = {line["id"] for line in lines if line["event"].startswith("fault.")} - mine
        entries = [self._ward.journal.get(fault) or self._ward.journal.ended(fault) for fault in known]
        mine |= {one.id for one in entries if one and self._notes.is_mine(one.fault, one.service, one.seed)}
        return [line for line in lines if line.get("id") in mine or line["event"].startswith("operation.")]

    def _address(self, service: str, port: str) -> str:
        """`host:port` of a service, as it is now."""
        at = self._ward.site(service).at
        return f"{at.host}:{at.ports[port]}" if port else at.address

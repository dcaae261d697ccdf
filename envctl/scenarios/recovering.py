"""Recovery: watched from the moment when the last fault is taken away, whatever else still goes on."""

from __future__ import annotations

import contextvars
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envctl.errors import EnvctlError
from envctl.protocols import NotReady
from envctl.scenarios.model import Role
from envctl.waiting import Deadline, TimedOut, until

if TYPE_CHECKING:
    from envctl.scenarios.host import Host
    from envctl.scenarios.model import Question, Scenario
    from envctl.scenarios.probing import Probing

_LEAST = 0.1
"""Seconds that something is asked, however late it is."""


@dataclass
class _Watch:
    """One wait: since the last fault until all is well, or until the next fault makes it moot."""

    clock: Deadline
    services: tuple[str, ...]
    moot: threading.Event = field(default_factory=threading.Event)
    seconds: float = 0.0
    problem: str = ""
    thread: threading.Thread | None = None


class Recovering:
    """Tells how long it took until what was hurt was well again."""

    def __init__(self, scenario: Scenario, env: Host, probing: Probing) -> None:
        self._scenario, self._env, self._probing = scenario, env, probing
        self._watch: _Watch | None = None

    def begin(self, clock: Deadline, services: tuple[str, ...]) -> None:
        """No fault is in force any more: watch, from the moment when the last one began to be taken away."""
        self.end()
        rule = self._scenario.recovery
        watch = _Watch(clock, services if rule.services is None else rule.services)
        run = contextvars.copy_context().run
        watch.thread = threading.Thread(target=run, args=(self._follow, watch), name="recovery", daemon=True)
        self._watch = watch
        watch.thread.start()

    def end(self) -> None:
        """Another fault comes, or nobody asks any more."""
        if self._watch is not None:
            self._watch.moot.set()
            self._watch = None

    def result(self) -> tuple[float, str]:
        """Seconds from the last fault until all was well, and what was not; without a fault nothing is waited for."""
        if self._watch is None or self._watch.thread is None:
            return 0.0, ""
        self._watch.thread.join()
        return self._watch.seconds, self._watch.problem

    def _follow(self, watch: _Watch) -> None:
        problem = self._services_problem(watch) or self._probes_problem(watch)
        watch.seconds = watch.clock.elapsed
        late = watch.clock.passed and not problem
        watch.problem = "it was well again too late" if late else problem

    def _services_problem(self, watch: _Watch) -> str:
        for service in watch.services:
            if watch.moot.is_set():
                return "moot"
            try:
                self._env.wait_recovered(service, max(_LEAST, watch.clock.left))
            except EnvctlError as error:
                return f"{service} is not what it was: {error.found}"
        return ""

    def _probes_problem(self, watch: _Watch) -> str:
        for name in self._probes():
            question = self._scenario.probes[name].question
            try:
                until(lambda: self._ask(question), max(_LEAST, watch.clock.left), name, watch.moot)  # noqa: B023
            except TimedOut as error:
                return f"{name} does not hold: {error.last}"
        return ""

    def _probes(self) -> tuple[str, ...]:
        """Those that the scenario names; else what held before, and must hold after."""
        rule = self._scenario.recovery
        both = {Role.BEFORE, Role.AFTER}
        if rule.probes is not None:
            return rule.probes
        return tuple(name for name, probe in self._scenario.probes.items() if both <= probe.roles)

    def _ask(self, question: Question) -> None:
        answer = self._probing.ask(question)
        if not answer.holds:
            raise NotReady(answer.problem)

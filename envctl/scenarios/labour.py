"""Work of a scenario: functions in threads, commands as processes."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Protocol

from envctl.errors import EnvctlError, redact
from envctl.protocols import NotReady
from envctl.scenarios.answers import shown
from envctl.scenarios.functions import STOP, wants_stop
from envctl.scenarios.notes import Stopped
from envctl.scenarios.verdict import Deed
from envctl.waiting import Deadline, TimedOut, until

if TYPE_CHECKING:
    from envctl.scenarios.functions import Functions
    from envctl.scenarios.host import Host
    from envctl.scenarios.model import Work
    from envctl.scenarios.notes import Notes
    from envctl.scenarios.programs import Programs

_LAST_WORD = 2.0
"""Seconds that work has to end by itself when it is told to, where nobody waits for it."""


class Job(Protocol):
    """Work that goes on."""

    def ended(self) -> bool:
        """Whether it has."""
        ...

    def tell(self) -> None:
        """Tell it to end."""
        ...

    def outcome(self) -> tuple[str, str]:
        """Its result and its problem, in words."""
        ...

    def abandon(self) -> None:
        """Have it end, whether it wants to or not, as far as that is possible."""
        ...


class Labours:
    """Begins work, and waits for it."""

    def __init__(self, env: Host, functions: Functions, programs: Programs, notes: Notes) -> None:
        self._env, self._functions, self._programs, self._notes = env, functions, programs, notes

    def begin(self, work: Work, name: str, track: str) -> Labour:
        """Start it."""
        self._notes.history.say("scenario.work", place=name, work=str(work), track=track)
        job: Job
        if work.python:
            job = _Call(self._env, self._functions, work, self._programs.secrets)
        else:
            job = _Run(self._programs, work)
        return Labour(job, work, name, track, self._notes)


class Labour:
    """Work that was begun."""

    def __init__(self, job: Job, work: Work, name: str, track: str, notes: Notes) -> None:
        self._job, self._work, self._name, self._track, self._notes = job, work, name, track, notes
        self._clock = Deadline(work.within)

    def finish(self, *, tell: bool = False, stop: threading.Event | None = None) -> Deed:
        """Wait until it has ended, for as long as it may take; `tell` it to, first. Returns what became of it.

        Raises:
            Stopped: `stop` was set meanwhile; it was told to end.

        """
        if tell:
            self._job.tell()
        late = ""
        try:
            until(self._over, self._work.within, str(self._work), stop)
        except TimedOut:
            self._job.tell()
            self._job.abandon()
            if stop is not None and stop.is_set():
                self._say(Deed(str(self._work), self._clock.elapsed, "broken off"), ok=True)
                raise Stopped from None
            late = f"did not end within {self._work.within:g} s"
        except BaseException:
            self._job.tell()
            self._job.abandon()
            raise
        result, problem = self._job.outcome() if not late else ("", late)
        return self._say(Deed(str(self._work), self._clock.elapsed, result, problem), ok=not problem)

    def abandon(self) -> None:
        """End it, where nobody asks any more what becomes of it."""
        self._job.tell()
        self._job.abandon()

    def _say(self, deed: Deed, *, ok: bool) -> Deed:
        self._notes.worked(deed, aside=not self._name.startswith("steps"))
        told = {"result": deed.result, "problem": deed.problem, "ms": round(deed.seconds * 1000)}
        self._notes.history.say("scenario.worked", place=self._name, work=deed.work, ok=ok, track=self._track, **told)
        return deed

    def _over(self) -> None:
        if not self._job.ended():
            raise NotReady("it goes on")


class _Call:
    """A function in a thread."""

    def __init__(self, env: Host, functions: Functions, work: Work, secrets: frozenset[str]) -> None:
        self._stop, self._secrets = threading.Event(), secrets
        self._result, self._problem = "", ""
        function = functions.get(work.python)
        more = {STOP: self._stop} if wants_stop(function) else {}

        def call() -> None:
            try:
                result = function(env, **work.given, **more)
                self._result = "" if result is None else self._clean(shown(result))
                self._problem = "it said False" if result is False else ""
            except BaseException as error:  # noqa: BLE001 - a function of the user's; told in the verdict
                said = f"{error.wanted}: {error.found}" if isinstance(error, EnvctlError) else str(error)
                self._problem = self._clean(shown(f"{type(error).__name__}: {said}".rstrip(": ")))

        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(call,), name=f"work-{work}", daemon=True)
        self._thread.start()

    def _clean(self, words: str) -> str:
        return redact(words, self._secrets)

    def ended(self) -> bool:
        return not self._thread.is_alive()

    def tell(self) -> None:
        self._stop.set()

    def outcome(self) -> tuple[str, str]:
        return self._result, self._problem

    def abandon(self) -> None:
        self._thread.join(_LAST_WORD)


class _Run:
    """A command."""

    def __init__(self, programs: Programs, work: Work) -> None:
        self._told, self._problem = False, ""
        try:
            self._program = programs.start(work.command)
        except OSError as error:
            self._problem = f"cannot be run: {error.strerror}"

    def ended(self) -> bool:
        return bool(self._problem) or self._program.ended

    def tell(self) -> None:
        if not self.ended():
            self._told = True
            self._program.end()

    def outcome(self) -> tuple[str, str]:
        if self._problem:
            return "", self._problem
        said = shown(self._program.output.splitlines()[-1]) if self._program.output else ""
        # One that was told to end may say so by its exit code.
        if self._program.code and not self._told:
            return "", f"exit code {self._program.code}" + (f": {said}" if said else "")
        return said, ""

    def abandon(self) -> None:
        if not self.ended():
            self._program.kill()

"""Truly ready: one thread a service asks it by its own protocol, and the engine's events run beside.

A service that died, was OOM-killed, restarted twice or was removed fails the wait in that moment, with the reason and
its last log lines; a deadline that passes fails it once, naming every condition still unmet.
"""

from __future__ import annotations

import contextvars
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envctl.errors import Interrupted, NotReadyInTime, ServiceFailed, Unmet, redact
from envctl.events import emit
from envctl.model import Container, State
from envctl.protocols import NotReady
from envctl.waiting import Condition, Deadline, FailureSignal, TimedOut, all_of, until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from envctl.protocols import Engine, EventStream

RESTARTS = 2
"""How many restarts make a crash loop."""

LOG_LINES = 20
"""How many last lines of a culprit's log an error shows."""

STARTING_ADVICE = "mend what the log names; `envctl up` starts it again"

_KILLED = 137
"""128 + SIGKILL: how the engine reports a container that was killed, for memory among other reasons."""


@dataclass(frozen=True, slots=True)
class Target:
    """One service to wait for. `probe` raises NotReady until it is; a `oneshot` is ready when it exited with 0."""

    service: str
    container: str
    probe: Callable[[float], None]
    address: str = ""
    oneshot: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """How a service became ready: seconds from the start of the wait, and how often it was asked."""

    seconds: float
    attempts: int


class Readiness:
    """One wait for the services of one environment. `answered` is called with each that is ready, in its thread, and
    returns at once; `abandoned` says whether nobody wants them any more.
    """

    def __init__(
        self,
        engine: Engine,
        environment: str,
        targets: Sequence[Target],
        secrets: Collection[str] = (),
        abandoned: Callable[[], bool] = lambda: False,
        answered: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._engine, self._environment, self._secrets = engine, environment, tuple(secrets)
        self._targets = {target.container: target for target in targets}
        self._abandoned, self._answered = abandoned, answered
        self._failure = FailureSignal()
        self._restarts: dict[str, int] = {}

    def wait(self, deadline: Deadline) -> dict[str, Answer]:
        """Wait for all; how each became ready.

        Raises:
            ServiceFailed: one cannot become ready any more.
            NotReadyInTime: the deadline passed.
            Interrupted: another process wants the environment down.

        """
        conditions = [self._condition(target, deadline) for target in self._targets.values()]
        with self._watched():
            unmet = all_of(conditions, deadline, self._failure)
        if unmet:
            raise NotReadyInTime(deadline.seconds, [self._unmet(condition) for condition in unmet])
        return {c.name: Answer(c.seconds, c.attempts) for c in conditions if c.seconds is not None}

    def fail(self, error: BaseException) -> None:
        """Give up the wait now: what it was for has failed."""
        self._failure.fail(error)

    def _condition(self, target: Target, deadline: Deadline) -> Condition:
        attempts, said = 0, ""

        def probe() -> None:
            nonlocal attempts, said
            attempts += 1
            try:
                self._ask(target, deadline)
            except NotReady as reason:
                if (now := redact(str(reason), self._secrets)) != said:
                    said = now
                    emit("service.waiting", service=target.service, attempt=attempts, last_error=said)
                raise
            emit("service.ready", service=target.service, ms=round(deadline.elapsed * 1000), address=target.address)
            self._answered(target.service)

        return Condition(target.service, probe)

    def _ask(self, target: Target, deadline: Deadline) -> None:
        """One attempt, never longer than two seconds: a server that hangs must not hide its own recovery."""
        if target.oneshot:
            container = self._engine.container(target.container)
            # The exit code counts here too: the engine's event, which fails the wait, may come after this look.
            if container is None or container.state is not State.EXITED or container.exit_code:
                raise NotReady(f"has not ended well yet ({container.state if container else State.ABSENT})")
            return
        target.probe(max(0.1, min(2.0, deadline.left)))

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Listen to the engine meanwhile. The first look comes after the stream is open, so nothing falls between."""
        stream = self._engine.events(self._environment)
        threads = [
            threading.Thread(
                # With this context, so that what they say reaches the same listener.
                target=contextvars.copy_context().run,
                args=(self._guarded, work),
                name=name,
                daemon=True,
            )
            for name, work in (("events", lambda: self._listen(stream)), ("down-requested", self._until_abandoned))
        ]
        for thread in threads:
            thread.start()
        try:
            for container in self._targets:
                self._judge(container)
            yield
        finally:
            self._failure.stop.set()
            stream.close()

    def _guarded(self, work: Callable[[], None]) -> None:
        """A watcher that breaks must end the wait, not end silently."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - handed to the waiting thread, which raises it
            self._failure.fail(error)

    def _listen(self, stream: EventStream) -> None:
        for event in stream:
            if event.container in self._targets and event.action.split(":")[0] in {"die", "oom", "destroy", "start"}:
                self._judge(event.container)
        # A stream ends by itself when the engine goes: a look says so.
        if not self._failure.stop.is_set():
            for container in self._targets:
                self._judge(container)

    def _until_abandoned(self) -> None:
        def probe() -> None:
            if not self._abandoned():
                raise NotReady("nobody asked")

        try:
            until(probe, float("inf"), "a request to go down", self._failure.stop)
        except TimedOut:
            return
        self._failure.fail(
            Interrupted(
                f"environment {self._environment!r} up", "another process took it down meanwhile", "run `up` again"
            )
        )

    def _judge(self, container_id: str) -> None:
        """Fail the wait when this container's state says that waiting is in vain."""
        target, container = self._targets[container_id], self._engine.container(container_id)
        if container and container.state is State.RUNNING:
            # What runs at the first look has survived its earlier restarts, by faults for example: they do not count.
            self._restarts.setdefault(container_id, container.restarts)
        if reason := _doom(container, self._restarts.setdefault(container_id, 0), oneshot=target.oneshot):
            emit("service.failed", service=target.service, reason=reason)
            self._failure.fail(ServiceFailed(target.service, reason, self._log(container), STARTING_ADVICE))

    def _log(self, container: Container | None) -> list[str]:
        """The container's last lines, without secrets."""
        lines = self._engine.logs(container, tail=LOG_LINES) if container else ()
        return [redact(line.text, self._secrets) for line in lines]

    def _unmet(self, condition: Condition) -> Unmet:
        target = next(target for target in self._targets.values() if target.service == condition.name)
        container = self._engine.container(target.container)
        state = str(container.state) if container else "absent"
        return Unmet(
            condition.name, redact(condition.last_error, self._secrets), state, tuple(self._log(container)[-5:])
        )


def not_started(engine: Engine, environment: str, services: Mapping[str, Any], seconds: float) -> NotReadyInTime:
    """The error for those `services`, as compose knows them, that compose did not start in time."""
    states = {container.service: container.state for container in engine.containers(environment)}
    late = [name for name in services if states.get(name, State.CREATED) is State.CREATED]
    unmet = []
    for name in late or services:
        needs = ", ".join(services[name].get("depends_on") or ())
        reason = f"compose has not started it: it waits for {needs}" if needs else "compose has not started it"
        unmet.append(Unmet(name, reason, str(states.get(name, State.ABSENT))))
    return NotReadyInTime(seconds, unmet, "see what `depends_on` waits for, or allow more time with --timeout")


def _doom(container: Container | None, restarts_before: int, *, oneshot: bool) -> str:
    """Why this container can no longer become ready; empty while it can."""
    if container is None:
        return "its container was removed by someone else"
    memory = " (out of memory: the kernel killed it at its memory limit)" if container.oom_killed else ""
    if container.restarts - restarts_before >= RESTARTS:
        return f"crash-loops: restarted {container.restarts} times, last exit code {container.exit_code}{memory}"
    if container.state in {State.EXITED, State.DEAD}:
        if oneshot and container.exit_code == 0:
            return ""
        killed = " (killed by someone)" if container.exit_code == _KILLED and not memory else ""
        error = f": {container.error}" if container.error else ""
        return f"exited with code {container.exit_code}{memory or killed}{error}"
    return ""

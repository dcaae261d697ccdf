"""All waiting: the only module that sleeps, the only one that retries.

Every wait has a deadline, keeps the last reason as its answer, and gives up at once when the thing waited for can
no longer come true.
"""

from __future__ import annotations

import contextvars
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from envctl.protocols import NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.25
_GROWTH = 1.6
_LAST_WORD = 0.5
"""Seconds after the deadline in which probes that are under way may still say why not."""


class Deadline:
    """A point in time that is shared by everything that must be done before it. Seconds, monotonic."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds until it passes; never negative."""
        return max(0.0, self.seconds - self.elapsed)

    @property
    def passed(self) -> bool:
        """Whether it is over."""
        return self.left <= 0


class TimedOut(Exception):
    """The deadline of `until` passed. `last` is the last reason why not."""

    def __init__(self, what: str, seconds: float, last: str) -> None:
        self.what, self.seconds, self.last = what, seconds, last
        super().__init__(f"{what}: not within {seconds:g} s (last: {last or 'no answer'})")


def until(probe: Callable[[], T], timeout: float, what: str, stop: threading.Event | None = None) -> T:
    """Call `probe` until it returns, first at once, then with pauses from 20 ms to 250 ms. Returns its result.

    `probe` says "not yet" by raising `NotReady`; any other exception passes through. `stop`, when set, ends the
    wait at once.

    Raises:
        TimedOut: `timeout` seconds passed, or `stop` was set; with the last reason.

    """
    deadline, stop, pause, last = Deadline(timeout), stop or threading.Event(), FIRST_PAUSE, ""
    while not stop.is_set():
        try:
            return probe()
        except NotReady as reason:
            last = str(reason)
        if deadline.passed:
            break
        stop.wait(min(pause, deadline.left))
        pause = min(pause * _GROWTH, LONGEST_PAUSE)
    raise TimedOut(what, timeout, last)


def retry(call: Callable[[], T], on: type[Exception] | tuple[type[Exception], ...], attempts: int = 3) -> T:
    """Call `call` up to `attempts` times while it raises one of `on`, with random pauses of up to 0.2 s, later 5 s.

    Raises the last exception. For things that fail by chance: a registry's 503, a network that lags its container.
    """
    import tenacity

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(on),
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
        reraise=True,
    )
    return retrying(call)


def pause(seconds: float) -> None:
    """Sleep, where there is nothing to wait for but the time: rendering loops, what somebody else keeps for so long."""
    time.sleep(seconds)


@dataclass
class Condition:
    """One thing to become true: `probe` raises `NotReady` with the reason until it is.

    The rest is what the wait observed: attempts, the last reason, seconds until it was true, and whether its thread
    asks no more.
    """

    name: str
    probe: Callable[[], object]
    attempts: int = 0
    last_error: str = "not asked yet"
    seconds: float | None = None
    over: bool = False


def all_of(conditions: Iterable[Condition], deadline: Deadline, failure: FailureSignal) -> list[Condition]:
    """Wait for all at once, a thread each, under one deadline; returns those still unmet when it passed.

    Raises what `failure` was given as soon as it is given: a service that died is not waited for. An exception of
    a probe other than `NotReady` is raised too, at once: a bug is not "not yet".
    """
    conditions = list(conditions)
    for condition in conditions:
        run = contextvars.copy_context().run
        threading.Thread(
            target=run, args=(_pursue, condition, deadline, failure), name=f"wait-{condition.name}", daemon=True
        ).start()
    with failure.changed:
        # A thread that hangs in a client library longer than that is left.
        failure.changed.wait_for(
            lambda: failure.error is not None or all(c.over for c in conditions), deadline.left + _LAST_WORD
        )
        failure.stop.set()
        if failure.error is not None:
            raise failure.error
        return [condition for condition in conditions if condition.seconds is None]


class FailureSignal:
    """The first fatal thing that anybody saw, shared by all threads of one wait."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.changed = threading.Condition()
        self.error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """Give up now, for this reason; later reasons are consequences and are ignored."""
        with self.changed:
            if self.error is None and not self.stop.is_set():
                self.error = error
            self.stop.set()
            self.changed.notify_all()


def _pursue(condition: Condition, deadline: Deadline, failure: FailureSignal) -> None:
    """One condition's thread."""

    def probe() -> object:
        condition.attempts += 1
        try:
            return condition.probe()
        except NotReady as reason:
            condition.last_error = str(reason)
            raise

    seconds = None
    try:
        until(probe, deadline.left, condition.name, failure.stop)
        seconds = deadline.elapsed
    except TimedOut:
        pass  # the condition itself holds the last reason
    except BaseException as error:  # noqa: BLE001 - handed to the waiting thread, which raises it
        failure.fail(error)
    with failure.changed:
        condition.seconds, condition.over = seconds, True
        failure.changed.notify_all()


def in_parallel(calls: Mapping[str, Callable[[], T]]) -> dict[str, T | Exception]:
    """Run all calls at once, a thread each; every result or exception by name. Nothing is swallowed, none masks one."""
    from concurrent.futures import ThreadPoolExecutor

    if not calls:
        return {}
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = {name: pool.submit(contextvars.copy_context().run, call) for name, call in calls.items()}
    results: dict[str, T | Exception] = {}
    for name, future in futures.items():
        error = future.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        results[name] = error if isinstance(error, Exception) else future.result()
    return results

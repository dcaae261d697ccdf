"""Waiting: first at once, never longer than allowed, always with a reason."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

import pytest

from envctl.protocols import NotReady
from envctl.waiting import FIRST_PAUSE, Condition, Deadline, FailureSignal, TimedOut, all_of, in_parallel, retry, until

_word: ContextVar[str] = ContextVar("word", default="")

PATIENCE = 30.0
"""Seconds that are too many for what comes at once, and too few for what waits; machines that run tests are busy."""


class Pauses(threading.Event):
    """Nobody's wish to end a wait; keeps how long the wait paused each time."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Pause, and note it."""
        assert timeout is not None
        self.seconds.append(timeout)
        return super().wait(timeout)


class Probe:
    """Says each of `reasons` once, then "ready"; counts how often it was asked."""

    def __init__(self, *reasons: str) -> None:
        self._reasons = list(reasons)
        self.asked = 0

    def __call__(self) -> str:
        """Answer, or say why not yet."""
        self.asked += 1
        if self._reasons:
            raise NotReady(self._reasons.pop(0))
        return "ready"


def never() -> None:
    """A probe that is never satisfied."""
    raise NotReady("connection refused")


def test_until_asks_first_at_once_and_returns_the_answer() -> None:
    """What is ready already costs no pause."""
    pauses = Pauses()

    assert until(Probe(), 10, "it", pauses) == "ready"
    assert pauses.seconds == []


def test_until_asks_again_after_every_not_ready() -> None:
    """NotReady means "not yet"."""
    probe = Probe("booting", "loading")

    assert until(probe, 10, "it") == "ready"
    assert probe.asked == 3


def test_until_times_out_with_the_last_reason() -> None:
    """The error says what was waited for, how long, and what the last answer was."""
    reasons = iter(f"attempt {n}" for n in range(1000))

    def probe() -> None:
        raise NotReady(next(reasons))

    with pytest.raises(TimedOut, match=r"postgres up: not within 0\.5 s \(last: attempt \d") as caught:
        until(probe, 0.5, "postgres up")
    assert caught.value.last != "attempt 0"


def test_until_never_waits_longer_than_allowed() -> None:
    """The last pause is cut to what is left, and one last question is asked when the time is over."""
    pauses, started = Pauses(), time.monotonic()
    with pytest.raises(TimedOut):
        until(never, 0.3, "it", pauses)

    assert sum(pauses.seconds) <= 0.3 <= time.monotonic() - started


def test_until_asks_once_even_with_no_time_at_all() -> None:
    """A deadline that has passed already still gets one true answer."""
    assert until(Probe(), 0, "it") == "ready"


def test_until_lets_any_other_exception_pass_at_once() -> None:
    """A bug is not "not yet"."""

    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        until(broken, 10, "it")


def test_until_ends_when_its_event_is_set() -> None:
    """Whoever gives up does not have to wait for the deadline."""
    stop = threading.Event()
    timer = threading.Timer(0.1, stop.set)
    started = time.monotonic()
    timer.start()
    with pytest.raises(TimedOut, match="connection refused"):
        until(never, 60, "it", stop)

    timer.join()
    assert time.monotonic() - started < PATIENCE


def test_a_deadline_counts_down_and_never_below_zero() -> None:
    """One clock for all that must be done before it."""
    long, over = Deadline(60), Deadline(0)

    assert 59 < long.left <= 60
    assert not long.passed
    assert over.passed
    assert over.left == 0
    assert over.elapsed > 0


def test_all_of_waits_for_everything_and_says_how_it_went() -> None:
    """Each condition keeps its attempts and its seconds; nothing is unmet."""
    quick, slow = Condition("quick", Probe()), Condition("slow", Probe("booting", "loading"))

    assert all_of([quick, slow], Deadline(10), FailureSignal()) == []
    assert (quick.attempts, slow.attempts) == (1, 3)
    assert slow.last_error == "loading"
    assert quick.seconds is not None
    assert slow.seconds is not None
    assert slow.seconds > FIRST_PAUSE


def test_all_of_nothing_is_met_at_once() -> None:
    """No condition, no wait."""
    assert all_of([], Deadline(10), FailureSignal()) == []


def test_all_of_returns_what_is_unmet_with_the_last_reason() -> None:
    """The deadline is one for all, and every unmet condition is named, not only the first."""
    met = Condition("met", Probe())
    first, second = Condition("first", never), Condition("second", never)
    started = time.monotonic()

    assert all_of([first, met, second], Deadline(0.5), FailureSignal()) == [first, second]
    assert time.monotonic() - started < PATIENCE
    assert first.last_error == "connection refused"


def test_all_of_keeps_the_reason_of_a_probe_that_takes_until_the_deadline() -> None:
    """A server that hangs is named with the probe's own words, not with "not asked yet"."""
    deadline, hold = Deadline(0.2), threading.Event()

    def hanging() -> None:
        hold.wait(deadline.left + 0.02)
        raise NotReady("no answer within 0.2 s")

    (unmet,) = all_of([Condition("hangs", hanging)], deadline, FailureSignal())
    assert unmet.last_error == "no answer within 0.2 s"


def test_all_of_does_not_wait_for_a_probe_that_outlives_the_deadline() -> None:
    """A client library that hangs for good delays the answer by half a second at most."""
    hold = threading.Event()
    started = time.monotonic()
    try:
        unmet = all_of([Condition("hangs", lambda: hold.wait(2 * PATIENCE))], Deadline(0.1), FailureSignal())
        assert time.monotonic() - started < PATIENCE
        assert [condition.name for condition in unmet] == ["hangs"]
    finally:
        hold.set()


def test_all_of_raises_a_failure_the_moment_it_is_given() -> None:
    """A service that died is not waited for."""
    failure = FailureSignal()
    timer = threading.Timer(0.1, failure.fail, [ConnectionAbortedError("died")])
    started = time.monotonic()
    timer.start()
    with pytest.raises(ConnectionAbortedError, match="died"):
        all_of([Condition("doomed", never)], Deadline(60), failure)

    timer.join()
    assert time.monotonic() - started < PATIENCE


def test_all_of_raises_the_first_failure_only() -> None:
    """What fails afterwards is a consequence."""
    failure = FailureSignal()
    failure.fail(ValueError("the cause"))
    failure.fail(ValueError("a consequence"))

    with pytest.raises(ValueError, match="the cause"):
        all_of([Condition("doomed", never)], Deadline(60), failure)


def test_all_of_raises_a_bug_in_a_probe_at_once() -> None:
    """Other exceptions than NotReady do not turn into a time-out."""

    def broken() -> None:
        raise KeyError("ports")

    started = time.monotonic()
    with pytest.raises(KeyError, match="ports"):
        all_of([Condition("broken", broken), Condition("other", never)], Deadline(60), FailureSignal())
    assert time.monotonic() - started < PATIENCE


def test_all_of_stops_its_probes_when_it_is_over() -> None:
    """After the deadline nobody goes on asking."""
    failure, probe = FailureSignal(), Probe(*["no"] * 1000)
    all_of([Condition("it", probe)], Deadline(0.1), failure)

    assert failure.stop.is_set()
    for thread in threading.enumerate():
        if thread.name == "wait-it":
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_in_parallel_collects_every_result_and_every_error() -> None:
    """Nothing is swallowed, and no error hides another."""

    def fails(word: str) -> int:
        raise ValueError(word)

    results = in_parallel({"one": lambda: 1, "two": lambda: fails("second"), "three": lambda: fails("third")})

    assert results["one"] == 1
    assert {str(results["two"]), str(results["three"])} == {"second", "third"}
    assert in_parallel({}) == {}


def test_in_parallel_runs_all_at_once_in_the_callers_context() -> None:
    """Each call waits for the other here, so one after the other would never end; listeners are heard in all."""
    barrier = threading.Barrier(2)

    def meet() -> str:
        barrier.wait(PATIENCE)
        return _word.get()

    token = _word.set("heard")
    try:
        assert in_parallel({"a": meet, "b": meet}) == {"a": "heard", "b": "heard"}
    finally:
        _word.reset(token)


def test_retry_calls_again_on_the_named_errors_alone() -> None:
    """What fails by chance is tried again, what fails otherwise is not."""
    calls = []

    def flaky() -> str:
        calls.append(1)
        if len(calls) < 2:
            raise ConnectionResetError
        return "done"

    assert retry(flaky, ConnectionResetError) == "done"
    with pytest.raises(ZeroDivisionError):
        retry(lambda: 1 // 0, ConnectionResetError)


def test_retry_raises_the_last_error_when_all_attempts_failed() -> None:
    """The error is the call's own, not the retrying library's."""
    calls = []

    def broken() -> None:
        calls.append(1)
        raise ConnectionResetError(f"attempt {len(calls)}")

    with pytest.raises(ConnectionResetError, match="attempt 2"):
        retry(broken, ConnectionResetError, attempts=2)

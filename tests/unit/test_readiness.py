"""Readiness: true answers only, failures in the moment they happen, and nothing secret in what is said."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from envctl.errors import EngineError, EnvctlError, Interrupted, NotReadyInTime, ServiceFailed
from envctl.events import listening
from envctl.model import State
from envctl.protocols import NotReady
from envctl.readiness import LOG_LINES, Readiness, Target
from envctl.waiting import FIRST_PAUSE, Deadline
from tests.unit.fake_engine import ENVIRONMENT, FakeEngine, container

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from envctl.readiness import Answer

SECRET = "pass-word"

PATIENCE = 20.0
"""Seconds that are too many for what comes at once, and fewer than a deadline; machines that run tests are busy."""


def ready(_: float) -> None:
    """A probe that is satisfied."""


def refused(_: float) -> None:
    """A probe that never is."""
    raise NotReady("connection refused")


def target(service: str, probe: Callable[[float], None] = refused, **data: object) -> Target:
    """What to wait for."""
    return Target(service, service, probe, f"127.0.0.1:{len(service)}", **data)


def wait(engine: FakeEngine, *targets: Target, timeout: float = 30, **data: object) -> dict[str, Answer]:
    """Wait for the targets as `up` does."""
    return dict(Readiness(engine, ENVIRONMENT, targets, **data).wait(Deadline(timeout)))


@contextmanager
def waiting(engine: FakeEngine, *targets: Target, **data: object) -> Iterator[Callable[[], EnvctlError]]:
    """Wait in another thread; gives, once a service said "not yet", what returns the error in which the wait ended."""
    asked = threading.Event()

    def work() -> None:
        with listening(lambda *_: asked.set()):
            wait(engine, *targets, **data)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        assert asked.wait(PATIENCE)

        def ended() -> EnvctlError:
            error = future.exception(timeout=PATIENCE)
            assert isinstance(error, EnvctlError)
            return error

        yield ended


def test_services_that_answer_are_ready_each_in_its_own_time() -> None:
    """The answer says after how many seconds and how many questions."""
    engine = FakeEngine().put(container("redis"), container("kafka"))
    answers = iter([NotReady("loading"), NotReady("loading"), None])

    def slow(_: float) -> None:
        if answer := next(answers):
            raise answer

    found = wait(engine, target("redis", ready), target("kafka", slow))

    assert {name: answer.attempts for name, answer in found.items()} == {"redis": 1, "kafka": 3}
    assert found["redis"].seconds >= 0
    assert found["kafka"].seconds > FIRST_PAUSE


def test_nothing_to_wait_for_is_ready() -> None:
    """An environment without services."""
    assert wait(FakeEngine()) == {}


def test_each_new_reason_is_told_once_and_readiness_with_its_address() -> None:
    """A table can show what a service waits for, without a line for every question."""
    heard: list[tuple[str, dict[str, object]]] = []
    answers = iter([NotReady("refused"), NotReady("refused"), NotReady("loading"), None])

    def slow(_: float) -> None:
        if answer := next(answers):
            raise answer

    with listening(lambda event, data: heard.append((event, data))):
        wait(FakeEngine().put(container("redis")), target("redis", slow))

    assert [(event, data.get("last_error"), data.get("attempt")) for event, data in heard] == [
        ("service.waiting", "refused", 1),
        ("service.waiting", "loading", 3),
        ("service.ready", None, None),
    ]
    assert heard[-1][1]["address"] == "127.0.0.1:5"
    assert isinstance(heard[-1][1]["ms"], int)


def test_a_question_may_take_two_seconds_and_no_longer_than_what_is_left() -> None:
    """A server that hangs must not hide its own recovery, nor outlast the deadline."""
    allowed: list[float] = []
    engine = FakeEngine().put(container("redis"))

    def probe(timeout: float) -> None:
        allowed.append(timeout)
        raise NotReady("no")

    wait(engine, target("redis", allowed.append))
    assert allowed == [2.0]
    allowed.clear()
    with pytest.raises(NotReadyInTime):
        wait(engine, target("redis", probe), timeout=0.3)
    assert 0.1 <= min(allowed) <= max(allowed) <= 0.3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state": State.EXITED, "exit_code": 3}, "exited with code 3"),
        ({"state": State.EXITED, "exit_code": 0}, "exited with code 0"),
        ({"state": State.EXITED, "exit_code": 1, "error": "no such file"}, "exited with code 1: no such file"),
        ({"state": State.EXITED, "exit_code": 137}, "exited with code 137 (killed by someone)"),
        (
            {"state": State.EXITED, "exit_code": 137, "oom_killed": True},
            "exited with code 137 (out of memory: the kernel killed it at its memory limit)",
        ),
        ({"state": State.DEAD, "exit_code": 1}, "exited with code 1"),
        (
            {"state": State.RESTARTING, "exit_code": 2, "restarts": 2},
            "crash-loops: restarted 2 times, last exit code 2",
        ),
    ],
)
@pytest.mark.parametrize("moment", ["before", "during"])
def test_a_service_that_cannot_become_ready_fails_the_wait_at_once(
    change: dict[str, object], reason: str, moment: str
) -> None:
    """With the reason and the culprit's last lines, whether it died before the wait began or meanwhile."""
    engine = FakeEngine(lines={"kafka": ["t1 starting", "t2 FATAL: broken"], "redis": ["t1 fine"]})
    engine.put(container("kafka"), container("redis"))
    started = time.monotonic()
    if moment == "before":
        engine.change("kafka", **change)
        with pytest.raises(ServiceFailed) as caught:
            wait(engine, target("kafka"), target("redis"))
        error: EnvctlError = caught.value
    else:
        with waiting(engine, target("kafka"), target("redis")) as ended:
            engine.change("kafka", "die", **change)
            error = ended()

    assert time.monotonic() - started < PATIENCE
    assert isinstance(error, ServiceFailed)
    assert (error.service, error.reason) == ("kafka", reason)
    assert error.log == ("starting", "FATAL: broken")


def test_a_container_that_somebody_removes_fails_the_wait_at_once() -> None:
    """It has no log any more."""
    engine = FakeEngine().put(container("redis"))
    with waiting(engine, target("redis")) as ended:
        del engine.now["redis"]
        engine.stream.send("redis", "destroy")
        error = ended()

    assert isinstance(error, ServiceFailed)
    assert error.reason == "its container was removed by someone else"
    assert error.log == ()


def test_one_restart_is_forgiven() -> None:
    """A service that lost a race with what it needs may try once more."""
    engine = FakeEngine().put(container("api"))
    answered = threading.Event()

    def probe(_: float) -> None:
        answered.set()
        if not engine.now["api"].restarts or engine.now["api"].state is not State.RUNNING:
            raise NotReady("connection refused")

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(wait, engine, target("api", probe))
        assert answered.wait(PATIENCE)
        engine.change("api", "die", state=State.RESTARTING, exit_code=1, restarts=1)
        engine.change("api", "start", state=State.RUNNING)
        assert future.result(PATIENCE).keys() == {"api"}


def test_restarts_of_earlier_days_are_no_crash_loop() -> None:
    """A service that runs now and was restarted often before, by faults for example, can be waited for."""
    engine = FakeEngine().put(container("api", restarts=7))

    assert wait(engine, target("api", ready)).keys() == {"api"}


def test_restarts_are_counted_from_the_start_of_the_wait() -> None:
    """One that was restarted before and crash-loops now is a failure all the same."""
    engine = FakeEngine().put(container("api", restarts=7))
    with waiting(engine, target("api")) as ended:
        engine.change("api", "start", restarts=8)
        engine.change("api", "start", restarts=9)
        error = ended()

    assert isinstance(error, ServiceFailed)
    assert error.reason.startswith("crash-loops: restarted 9 times")


def test_events_of_other_containers_are_nobodys_failure() -> None:
    """A sidecar that ended, or a container that was replaced."""
    engine = FakeEngine().put(container("redis"))
    with waiting(engine, target("redis"), timeout=0.3) as ended:
        engine.stream.send("stranger", "die")
        engine.stream.send("redis", "health_status: unhealthy")
        assert isinstance(ended(), NotReadyInTime)


def test_secrets_are_in_no_log_line_reason_or_event() -> None:
    """Whatever a service writes, and whatever a probe quotes."""
    engine = FakeEngine(lines={"redis": [f"t1 AUTH {SECRET}"]}).put(container("redis"))
    heard: list[tuple[str, dict[str, object]]] = []

    def quoting(_: float) -> None:
        raise NotReady(f"unknown command AUTH {SECRET}")

    with listening(lambda event, data: heard.append((event, data))), pytest.raises(NotReadyInTime) as late:
        wait(engine, target("redis", quoting), timeout=0.5, secrets=[SECRET])
    engine.change("redis", state=State.EXITED)
    with pytest.raises(ServiceFailed) as failed:
        wait(engine, target("redis", quoting), secrets=[SECRET])

    assert late.value.unmet[0].last_error == "unknown command AUTH ***"
    assert late.value.unmet[0].log == ("AUTH ***",)
    assert failed.value.log == ("AUTH ***",)
    assert "service.waiting" in {event for event, _ in heard}
    assert SECRET not in f"{heard}{late.value}{late.value.data()}{failed.value.data()}"


def test_only_the_last_lines_of_the_log_are_shown() -> None:
    """The whole log is one command away."""
    engine = FakeEngine(lines={"redis": [f"t{n} line {n}" for n in range(100)]})
    engine.put(container("redis", State.EXITED))
    with pytest.raises(ServiceFailed) as caught:
        wait(engine, target("redis"))

    assert caught.value.log == tuple(f"line {n}" for n in range(100 - LOG_LINES, 100))


def test_a_one_shot_is_ready_when_it_has_ended_well() -> None:
    """Not while it runs."""
    engine = FakeEngine().put(container("migrate"))
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(wait, engine, target("migrate", oneshot=True))
        assert engine.listening.wait(PATIENCE)
        engine.change("migrate", "die", state=State.EXITED)
        assert future.result(PATIENCE).keys() == {"migrate"}


def test_a_one_shot_that_failed_is_never_ready() -> None:
    """Also when its question is asked before the engine's event arrives."""
    engine = FakeEngine().put(container("migrate"))
    with waiting(engine, target("migrate", oneshot=True), timeout=0.5) as ended:
        engine.change("migrate", "", state=State.EXITED, exit_code=1)
        assert isinstance(ended(), NotReadyInTime)

    with pytest.raises(ServiceFailed, match="exited with code 1"):
        wait(engine, target("migrate", oneshot=True))


def test_a_deadline_names_every_service_that_is_not_ready() -> None:
    """With its state, its last answer and its last lines; those that are ready are not in it."""
    engine = FakeEngine(lines={"kafka": ["t1 waiting for zookeeper"]})
    engine.put(container("redis"), container("kafka"), container("minio", State.CREATED))

    def loading(_: float) -> None:
        raise NotReady("no broker yet")

    with pytest.raises(NotReadyInTime) as caught:
        wait(engine, target("redis", ready), target("kafka", loading), target("minio"), timeout=0.2)

    assert [(u.service, u.state, u.last_error, u.log) for u in caught.value.unmet] == [
        ("kafka", "running", "no broker yet", ("waiting for zookeeper",)),
        ("minio", "created", "connection refused", ()),
    ]
    assert caught.value.seconds == 0.2


def test_a_request_to_go_down_interrupts_the_wait() -> None:
    """`down` in a second shell does not wait for the deadline of this `up`."""
    engine, asked = FakeEngine().put(container("redis")), threading.Event()
    with waiting(engine, target("redis"), abandoned=asked.is_set) as ended:
        asked.set()
        error = ended()

    assert isinstance(error, Interrupted)
    assert error.exit_code == 130


def test_a_bug_in_a_probe_is_raised_as_it_is() -> None:
    """It is no time-out."""

    def broken(_: float) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wait(FakeEngine().put(container("redis")), target("redis", broken))


def test_an_engine_that_goes_away_ends_the_wait_at_once() -> None:
    """Its event stream ends; the look at the containers says why."""
    engine = FakeEngine().put(container("redis"))
    with waiting(engine, target("redis")) as ended:
        engine.broken["container"] = EngineError("an engine", "none answers", "start it")
        engine.stream.close()
        assert isinstance(ended(), EngineError)


def test_a_look_that_fails_ends_the_wait_at_once() -> None:
    """A watcher that breaks does not end silently."""
    engine = FakeEngine().put(container("redis"))
    with waiting(engine, target("redis")) as ended:
        engine.broken["container"] = EngineError("an engine", "none answers", "start it")
        engine.stream.send("redis", "start")
        assert isinstance(ended(), EngineError)


def test_a_wait_leaves_no_thread_behind() -> None:
    """Neither after success nor after a failure."""
    engine = FakeEngine().put(container("redis"), container("kafka"))
    wait(engine, target("redis", ready))
    with pytest.raises(NotReadyInTime):
        wait(engine, target("redis", ready), target("kafka"), timeout=0.05)

    for thread in threading.enumerate():
        if thread.name in {"wait-redis", "wait-kafka", "engine-events", "down-requested"}:
            thread.join(PATIENCE)
            assert not thread.is_alive(), thread.name

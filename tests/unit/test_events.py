"""Events: heard by the listener of this context, else by structlog."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys

import structlog.testing

from envctl.events import emit, listening, now
from envctl.waiting import in_parallel

Heard = list[tuple[str, dict[str, object]]]


def test_a_listener_hears_what_is_said_inside_its_block() -> None:
    """And nothing before or after; the inner of two is the one that hears."""
    outer: Heard = []
    inner: Heard = []
    with listening(lambda event, data: outer.append((event, data))):
        emit("service.ready", service="redis", ms=12)
        with listening(lambda event, data: inner.append((event, data))):
            emit("service.failed", service="kafka")

    assert outer == [("service.ready", {"service": "redis", "ms": 12})]
    assert inner == [("service.failed", {"service": "kafka"})]


def test_without_a_listener_structlog_hears() -> None:
    """The host program configures it as it likes."""
    with structlog.testing.capture_logs() as logs:
        emit("service.ready", service="redis")

    assert logs == [{"event": "service.ready", "service": "redis", "log_level": "info"}]


def test_two_environments_in_two_threads_do_not_hear_each_other() -> None:
    """A listener belongs to its context."""

    def listen(name: str) -> Heard:
        heard: Heard = []
        with listening(lambda event, data: heard.append((event, data))):
            for _ in range(50):
                emit(name)
        return heard

    heard = in_parallel({name: lambda name=name: listen(name) for name in "ab"})  # type: ignore[misc]

    assert heard == {name: [(name, {})] * 50 for name in "ab"}


def test_worker_threads_are_heard_too() -> None:
    """What works for an environment says its events where that one is listened to."""
    heard: Heard = []
    with listening(lambda event, data: heard.append((event, data))):
        in_parallel({name: lambda name=name: emit(name) for name in "ab"})  # type: ignore[misc]

    assert sorted(event for event, _ in heard) == ["a", "b"]


def test_a_process_that_listens_never_pays_for_structlog() -> None:
    """It costs 130 ms, which a CLI that renders by itself does not need."""
    code = """
import sys
from envctl.events import emit, listening
with listening(lambda event, data: None):
    emit("service.ready")
assert "structlog" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_now_is_utc_with_milliseconds() -> None:
    """The form of every `at`."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", now())
    assert abs(dt.datetime.fromisoformat(now()) - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=5)

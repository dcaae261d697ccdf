"""Verdicts on refusals, space, jobs side by side and processes; no engine."""

from __future__ import annotations

import shutil
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from envctl import events
from envctl.engine.images import process
from envctl.engine.images.bootstrap import _check_tools
from envctl.engine.images.build import _Report
from envctl.engine.images.crew import Job, Stop, work_through
from envctl.engine.images.refusal import NotInRegistry, RegistryTrouble, refusal
from envctl.engine.images.room import check_folder
from envctl.errors import DigestMismatch, DiskFull, ImageError, Interrupted, RateLimited, RegistryUnreachable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ('Get "https://r.example/v2/": dial tcp: lookup r.example on 10.0.0.1:53: no such host', RegistryUnreachable),
        ('Get "http://localhost:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused', RegistryUnreachable),
        ('Get "https://10.0.0.1/v2/": x509: certificate signed by unknown authority', RegistryUnreachable),
        ("manifest for a/b:1 not found: manifest unknown: manifest unknown", NotInRegistry),
        ("pull access denied for a/b, repository does not exist or may require 'docker login'", NotInRegistry),
        ("toomanyrequests: You have reached your pull rate limit.", RateLimited),
        ("received unexpected HTTP status: 503 Service Unavailable", RegistryTrouble),
        ("net/http: request canceled (Client.Timeout exceeded while awaiting headers)", RegistryTrouble),
        (f"manifest verification failed for digest sha256:{'0' * 64}", DigestMismatch),
        (f"filesystem layer verification failed for digest sha256:{'0' * 64}", DigestMismatch),
        ("failed to register layer: write /usr/lib/x: no space left on device", DiskFull),
        ("something new", NotInRegistry),
    ],
)
def test_the_engines_words_become_their_own_error(message: str, error: type[ImageError]) -> None:
    """Messages as engines say them; the message is kept, and there is always advice."""
    verdict = refusal("a/b:1", message)

    assert type(verdict) is error
    assert message in verdict.found
    assert verdict.advice


def test_too_little_space_is_measured_on_the_real_disk(tmp_path: Path) -> None:
    """One byte more than there is; a folder that is not on this machine is not judged."""
    free = shutil.disk_usage(tmp_path).free

    with pytest.raises(DiskFull, match="GB free at"):
        check_folder(tmp_path, "pull x", free + 10**12)
    check_folder(tmp_path, "pull x", 1)
    check_folder(tmp_path / "absent", "pull x", free + 10**12)


def test_jobs_wait_for_their_needs_and_the_heaviest_chain_goes_first() -> None:
    """One at a time, so that the order shows: a light job with a heavy child beats a heavier one alone."""
    order: list[str] = []
    jobs = [
        Job("alone", lambda _: order.append("alone"), weight=5),
        Job("child", lambda _: order.append("child"), needs=("parent",), weight=9),
        Job("parent", lambda _: order.append("parent"), weight=1),
    ]
    work_through(jobs, 1)

    assert order == ["parent", "child", "alone"]


def test_no_more_jobs_run_at_once_than_allowed() -> None:
    """Two start together and can only go on together; a third would be seen."""
    both, running, most = threading.Barrier(2, timeout=10), [0], [0]

    def work(_: Stop) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        both.wait()
        running[0] -= 1

    work_through([Job(str(n), work) for n in range(6)], 2)

    assert most == [2]


def test_the_first_failure_stops_the_others_and_is_raised() -> None:
    """What still runs hears the stop; what has not begun never begins."""
    began = threading.Event()

    def fail(_: Stop) -> None:
        began.wait(10)
        raise ImageError("the first")

    def last_until_stopped(stop: Stop) -> None:
        ended = threading.Event()
        with stop.ending(ended.set):
            began.set()
            assert ended.wait(10)
        stop.heed()

    jobs = [Job("a", fail, weight=2), Job("b", last_until_stopped, weight=1), Job("c", lambda _: pytest.fail("began"))]
    with pytest.raises(ImageError, match="the first"):
        work_through(jobs, 2)


def test_events_of_a_job_reach_the_callers_listener() -> None:
    """Worker threads run in the caller's context."""
    heard: list[str] = []
    with events.listening(lambda name, _: heard.append(name)):
        work_through([Job("a", lambda _: events.emit("image.built"))], 1)

    assert heard == ["image.built"]


def test_a_stop_said_early_ends_what_begins_late() -> None:
    """No process starts, no listener is forgotten."""
    stop, ended = Stop(), threading.Event()
    stop.say()

    with pytest.raises(Interrupted), stop.ending(ended.set):
        process.run(["false"], print, stop)
    assert ended.is_set()


def test_a_process_that_ignores_sigterm_is_killed_with_its_children() -> None:
    """The whole group ends after the grace, and the reader with it."""
    stop = Stop()
    script = "trap '' TERM; echo ready; sleep 600 & wait; sleep 600"

    def heard(line: str) -> None:
        assert line == "ready"
        threading.Thread(target=stop.say).start()

    with pytest.raises(Interrupted):
        process.run(["bash", "-c", script], heard, stop, grace=0.2)


def test_a_process_gives_its_lines_and_exit_code() -> None:
    """Both streams, in order; death by a signal is a negative code."""
    lines: list[str] = []

    assert process.run(["bash", "-c", "echo out; echo err >&2; exit 3"], lines.append, Stop()) == 3
    assert lines == ["out", "err"]
    assert process.run(["bash", "-c", "kill -9 $$"], lines.append, Stop()) == -signal.SIGKILL


def test_a_failing_step_is_named_with_its_lines_and_without_passwords() -> None:
    """BuildKit's plain progress, two steps interleaved."""
    said: list[str] = []
    report = _Report(said.append)
    for line in (
        "#1 [internal] load build definition from Dockerfile",
        "#5 [build 1/2] RUN fetch",
        "#6 [other 1/1] RUN fine",
        "#5 0.1 from http://user:password@mirror.example/x",
        "#6 0.2 unrelated",
        "#5 ERROR: exit code: 1",
        "ERROR: failed to solve",
    ):
        report.hear(line)

    assert said == ["[build 1/2] RUN fetch", "[other 1/1] RUN fine"]
    assert report.failure() == (
        "step [build 1/2] RUN fetch\n         | from http://***@mirror.example/x\n         | ERROR: exit code: 1"
    )


def test_a_builder_that_fails_before_any_step_shows_its_last_words() -> None:
    """As when the daemon is gone or an option is unknown."""
    report = _Report(print)
    report.hear("ERROR: no builder")

    assert report.failure() == "step before the first step\n         | ERROR: no builder"


def test_without_debootstrap_or_root_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not installed; then installed, for somebody who is not root."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="not installed"):
        _check_tools()
    (tmp_path / "debootstrap").touch(mode=0o755)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ImageError, match="sudo envctl images build"):
        _check_tools()

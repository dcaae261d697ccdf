"""The command line as a process: closed pipes and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from envctl.cli.signals import as_interrupt

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import os, select, sys, threading, types, envctl
from envctl.cli import main
from envctl.events import emit
from envctl.model import LogLine
from envctl.reports import Status, UpReport
module = types.ModuleType("envctl.environment")
class Fake:
    def status(self): return Status("shop", "ready", (), {})
    def report(self): return UpReport("shop", attached=False, ms=1)
    def logs(self, services, **more):
        while True: yield LogLine("redis", "", "x" * 100)
def up(settings, **more):
    for _ in range(5000): emit("service.ready", service="redis", ms=1, address="a")
    print("done", file=sys.stderr)
    return Fake()
def wait_for_signal(settings, **more):
    try:
        print("up", file=sys.stderr, flush=True)
        threading.Event().wait(20)
    finally:
        print("cleanup begins", file=sys.stderr, flush=True)
        # No plain read: a signal that comes between two of Python's looks would wait for the read's end.
        while not select.select([sys.stdin], [], [], 0.05)[0]: pass
        print("cleanup ends", file=sys.stderr, flush=True)
module.attach = lambda settings: Fake()
module.up = wait_for_signal if "--recreate" in sys.argv else up
sys.modules["envctl.environment"] = envctl.environment = module
sys.exit(main(sys.argv[1:]))
"""


def start(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """A process that runs one command line."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_reader_that_goes_away_ends_logs_quietly(form: tuple[str, ...]) -> None:
    """`envctl logs | head` shows no traceback and no complaint."""
    with start(*form, "logs") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(20) == 0


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_reader_that_goes_away_does_not_break_up(form: tuple[str, ...]) -> None:
    """What was begun is brought to its end: nobody asked for less."""
    with start(*form, "up") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == "done\n"
        assert process.wait(20) == 0


def test_a_closed_stdout_is_no_failure(tmp_path: Path) -> None:
    """`envctl version >&-`."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    command = f'"{sys.executable}" "{script}" version >&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ending_signals_run_the_cleanup_and_end_with_130(number: signal.Signals) -> None:
    """All three take the same way, and the signals that follow do not break the cleanup off."""
    with start("up", "--recreate") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "up\n"
        process.send_signal(number)
        assert process.stderr.readline() == "cleanup begins\n"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert process.stdin is not None
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.stderr.read() == "cleanup ends\nerror: interrupted\n"
        assert process.wait(20) == 130


def test_the_second_ctrl_c_is_answered_and_the_third_ends_the_cleanup() -> None:
    """A user who insists is obeyed, after being told what that leaves."""
    with start("up", "--recreate") as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "cleanup begins\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "\n"
        assert "envctl gc" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "error: interrupted\n"
        assert process.wait(20) == 130


def test_an_ignored_signal_stays_ignored_and_all_are_given_back() -> None:
    """`nohup envctl up` survives its terminal; a program that calls `main` keeps its own handlers."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        others = signal.getsignal(signal.SIGTERM)
        with as_interrupt():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not others
        assert signal.getsignal(signal.SIGTERM) is others
    finally:
        signal.signal(signal.SIGHUP, before)


EARLY = """
import importlib.abc, os, signal, sys
class Pressed(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Pressed())
from envctl.__main__ import run
sys.exit(run())
"""


@pytest.mark.parametrize(("form", "told"), [((), ""), (("--json",), '"event": "result"')])
def test_ctrl_c_while_the_program_is_still_being_loaded_is_told_as_later(form: tuple[str, ...], told: str) -> None:
    """No traceback: not even while the modules that would catch it are imported."""
    command = [sys.executable, "-c", EARLY, "ls", *form]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (130, "error: interrupted\n")
    assert told in done.stdout


def test_the_module_runs_as_a_program() -> None:
    """`python -m envctl`."""
    done = subprocess.run(
        [sys.executable, "-m", "envctl", "version"], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.startswith("envctl ")

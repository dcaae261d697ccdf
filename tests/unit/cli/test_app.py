"""The frame: overview, names, options that stand anywhere, and how a run ends."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from envctl.cli.app import SECTIONS, VERBS, envctl
from envctl.errors import EngineError, NoSuchEnvironment, ServiceFailed

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Cli, FakeEnvironment


def test_the_overview_shows_every_verb_in_sections_and_a_first_minute(envctl_run: Cli) -> None:
    """What a newcomer sees first."""
    for flag in ("--help", "-h"):
        ended = envctl_run(flag)
        assert ended.code == 0
        assert all(f"\n  {verb} " in ended.out for verb in VERBS)
        assert all(f"{heading}:" in ended.out for heading in SECTIONS)
        assert 'eval "$(envctl env --format shell)"' in ended.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_the_help_that_the_overview_shows(envctl_run: Cli, verb: str) -> None:
    """The overview imports no verb, so its lines are written twice; here they meet."""
    command = envctl.get_command(click.Context(envctl), verb)
    assert command is not None
    assert (command.help or "").splitlines()[0] == VERBS[verb][1]
    ended = envctl_run(verb, "-h")
    assert (ended.code, "Usage: envctl " + verb in ended.out) == (0, True)


def test_the_overview_imports_nothing_that_costs() -> None:
    """No verb, no renderer, no client and no parser of files."""
    code = (
        "import sys; from envctl.cli import main; main(['--help'])\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in "
        "{'rich', 'docker', 'yaml', 'jsonschema', 'structlog', 'psutil'} or m.startswith('envctl.cli.verbs.')]\n"
        "print('BAD', bad)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.endswith("BAD []\n")


def test_without_a_verb_the_overview_is_a_usage_error(envctl_run: Cli) -> None:
    """On stderr: a script that forgot the verb must not take the overview for data."""
    ended = envctl_run()
    assert (ended.code, ended.out) == (2, "")
    assert "Up and down" in ended.err


def test_an_unknown_verb_is_told_the_nearest_name(envctl_run: Cli) -> None:
    """Exit code 2 and one suggestion, also inside a group of verbs."""
    ended = envctl_run("stauts")
    assert (ended.code, ended.out) == (2, "")
    assert "no verb is named 'stauts'" in ended.err
    assert "did you mean 'status'?" in ended.err
    assert "did you mean 'prune'?" in envctl_run("images", "prun").err


def test_an_unknown_option_is_told_the_nearest_name(envctl_run: Cli) -> None:
    """Before and after the verb."""
    ended = envctl_run("up", "--profil", "core")
    assert ended.code == 2
    assert "did you mean '--profile'?" in ended.err
    assert "did you mean '--debug'?" in envctl_run("--debgu", "up").err


def test_global_options_stand_before_or_after_the_verb(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Nobody has to know where they belong."""
    assert envctl_run("--env", "one", "status", "--json").code == 0
    assert fake.settings.name == "one"
    ended = envctl_run("--json", "status", "--env", "two")
    assert fake.settings.name == "two"
    assert json.loads(ended.out)["environment"] == "shop"


def test_quiet_and_verbose_exclude_each_other(envctl_run: Cli) -> None:
    """Whichever comes where."""
    assert envctl_run("-q", "up", "-v").code == 2


@pytest.mark.parametrize("timeout", ["0", "-1", "soon"])
def test_an_impossible_timeout_ends_with_2_and_says_what_is_wanted(
    envctl_run: Cli, fake: FakeEnvironment, timeout: str
) -> None:
    """Before anything is started."""
    for verb in ("up", "wait"):
        ended = envctl_run(verb, "--timeout", timeout)
        assert ended.code == 2
        assert "--timeout: must be a time above 0" in ended.err
    assert fake.calls == []


def test_an_error_says_wanted_found_and_do_without_traceback(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """And ends with the exit code of its class."""
    fake.raises["attach"] = EngineError("an engine", "nothing answers", "start it")
    ended = envctl_run("status")
    assert (ended.code, ended.out) == (4, "")
    assert ended.err == "error: an engine\n  found: nothing answers\n  do:    start it\n"


def test_with_json_an_error_is_a_result_on_stdout_too(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Machines read stdout, people stderr; usage errors included, wherever --json stands."""
    fake.raises["attach"] = NoSuchEnvironment("environment 'shop'", "none", "make it")
    ended = envctl_run("status", "--json")
    result = json.loads(ended.out)
    assert (ended.code, result["ok"], result["exit_code"], result["error"]) == (1, False, 1, "NoSuchEnvironment")
    assert "environment 'shop'" in ended.err
    assert json.loads(envctl_run("stauts", "--json").out)["exit_code"] == 2
    assert envctl_run("stauts", "--", "--json").out == ""


def test_an_unexpected_exception_is_one_line_and_a_hint(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """The traceback waits for --debug."""
    fake.raises["attach"] = ZeroDivisionError("oops")
    ended = envctl_run("status")
    assert ended.code == 1
    assert "ZeroDivisionError: oops" in ended.err
    assert "--debug" in ended.err
    assert "Traceback" not in ended.err
    assert "Traceback" in envctl_run("status", "--debug").err


def test_every_error_of_a_group_is_told_and_the_first_decides(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """A failed cleanup does not hide what failed first."""
    errors = [ServiceFailed("redis", "exited with 1", ["bad config"]), ValueError("while removing")]
    fake.raises["up"] = ExceptionGroup("up failed", errors)
    ended = envctl_run("up", "--json")
    assert ended.code == 1
    assert "redis ready" in ended.err
    assert "ValueError: while removing" in ended.err
    result = json.loads(ended.out.splitlines()[-1])
    assert (result["service"], result["log"], len(result["more"])) == ("redis", ["bad config"], 1)


def test_an_interrupt_ends_with_130(envctl_run: Cli, fake: FakeEnvironment) -> None:
    """Ctrl-C is no failure of anything."""
    fake.raises["up"] = KeyboardInterrupt()
    ended = envctl_run("up", "--json")
    assert (ended.code, ended.err) == (130, "error: interrupted\n")
    assert json.loads(ended.out)["exit_code"] == 130


def test_version_and_its_json(envctl_run: Cli) -> None:
    """As verb and as option."""
    assert envctl_run("version").out.startswith("envctl ")
    assert envctl_run("--version").code == 0
    assert set(json.loads(envctl_run("version", "--json").out)) == {"envctl", "python"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_shells_script(envctl_run: Cli, shell: str) -> None:
    """And an unknown shell is a usage error."""
    assert "_ENVCTL_COMPLETE" in envctl_run("completion", shell).out
    assert envctl_run("completion", "csh").code == 2

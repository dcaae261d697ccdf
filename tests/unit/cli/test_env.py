"""`env`: every form is read back by the program that it is meant for."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Cli, FakeEnvironment

AWKWARD = {
    "PLAIN": "value-1.2",
    "DATABASE_URL": "postgresql://app:p%40ss@127.0.0.1:5432/app?sslmode=disable&x=1",
    "SPARK_REMOTE": "sc://127.0.0.1:15002/;token=abc;use_ssl=false",
    "QUOTES": """it's "quoted" `here` $HOME $(id) \\n !! #x""",
    "SPACES": "  two  words\t",
    "TILDE": "~/x:~root",
    "MULTILINE": "first\nsecond 'and' \"third\"\n",
    "EMPTY": "",
    "UNICODE": "ключ=значение",
}
SHELLS = [shell for shell in ("sh", "bash", "zsh", "dash") if shutil.which(shell)]


@pytest.fixture(autouse=True)
def variables(fake: FakeEnvironment) -> None:
    """Values with everything in them that a shell could stumble over."""
    fake.variables_ = AWKWARD
    fake.secrets_ = frozenset({"QUOTES", "MULTILINE", "ABSENT"})


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_read_back_exactly_what_was_meant(envctl_run: Cli, shell: str) -> None:
    """`eval "$(envctl env --format shell)"`, run by the real shell, exported to a child."""
    out = envctl_run("env", "--format", "shell").out
    code = f'eval "$(cat)"; exec {shutil.which("env")} -0'
    command = [shutil.which(shell) or shell, "-c", code]
    done = subprocess.run(command, input=out, check=True, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    seen = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)
    assert {name: seen[name] for name in AWKWARD} == AWKWARD


def test_a_dotenv_line_sourced_by_sh_is_the_same_value(envctl_run: Cli) -> None:
    """People write `set -a; . ./.env`, and a line break is all that does not survive it."""
    Path(".env").write_text(envctl_run("env").out)
    code = f"set -a; . ./.env; exec {shutil.which('env')} -0"
    done = subprocess.run(["sh", "-c", code], check=True, capture_output=True, text=True, env={})
    seen = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)
    expected = {name: value for name, value in AWKWARD.items() if name not in {"MULTILINE", "QUOTES"}}
    assert {name: seen[name] for name in expected} == expected


def test_dotenv_leaves_plain_values_bare(envctl_run: Cli) -> None:
    """`docker run --env-file` would keep quotes."""
    lines = envctl_run("env").out.splitlines()
    assert "PLAIN=value-1.2" in lines
    assert "SPARK_REMOTE='sc://127.0.0.1:15002/;token=abc;use_ssl=false'" in lines


def test_json_is_one_flat_object(envctl_run: Cli) -> None:
    """By --format and by --json alike."""
    assert json.loads(envctl_run("env", "--format", "json").out) == AWKWARD
    assert json.loads(envctl_run("env", "--json").out) == AWKWARD


def test_github_appends_to_the_file_and_masks_secrets_first(
    envctl_run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values with line breaks in the form with a delimiter; read back as the runner reads it."""
    target = tmp_path / "github_env"
    target.write_text("BEFORE=1\n")
    monkeypatch.setenv("GITHUB_ENV", str(target))
    ended = envctl_run("env", "--format", "github")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "::add-mask::first",
        "::add-mask::second 'and' \"third\"",
        "::add-mask::" + AWKWARD["QUOTES"],
    ]
    assert read_github(target.read_text()) == {"BEFORE": "1", **AWKWARD}


def test_github_keeps_a_line_that_had_no_end(envctl_run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier step wrote with `printf` must not grow our first variable."""
    target = tmp_path / "github_env"
    target.write_text("BEFORE=1")
    monkeypatch.setenv("GITHUB_ENV", str(target))
    envctl_run("env", "--format", "github")
    assert read_github(target.read_text())["BEFORE"] == "1"


def test_github_outside_of_a_job_is_a_usage_error(envctl_run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret is printed for nothing."""
    ended = envctl_run("env", "--format", "github")
    assert (ended.code, ended.out) == (2, "")
    assert "GITHUB_ENV" in ended.err
    monkeypatch.setenv("GITHUB_ENV", "/nowhere/at/all")
    assert envctl_run("env", "--format", "github").code == 2


def test_an_unknown_format_names_the_known_ones(envctl_run: Cli) -> None:
    """Exit code 2."""
    ended = envctl_run("env", "--format", "xml")
    assert ended.code == 2
    assert "'dotenv', 'json', 'shell', 'github'" in ended.err


def read_github(text: str) -> dict[str, str]:
    """The file as GitHub's runner reads it: `NAME=value` or `NAME<<delimiter`."""
    found: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        name, heredoc, delimiter = line.partition("<<")
        if heredoc and "=" not in name:
            found[name] = "\n".join(iter(partial(next, lines), delimiter))
        elif line:
            name, _, value = line.partition("=")
            found[name] = value
    return found

"""`exec` and `shell`: this process becomes the program, so each run here is a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys, types, envctl
from envctl.cli import main
module = types.ModuleType("envctl.environment")
class Fake:
    def exec_argv(self, service, command, *, interactive):
        print(service, command, interactive)
        return [PROGRAM, "-c", 'echo "got $*"; exit 7', "sh", *command]
    def shell_argv(self, service, *, interactive):
        return ["sh", "-c", 'echo "as $PGUSER at $0 with $(cat) $1"', service, str(interactive)], {"PGUSER": "app"}
module.attach = lambda settings: Fake()
sys.modules["envctl.environment"] = envctl.environment = module
sys.exit(main(sys.argv[1:]))
"""


def run(*arguments: str, program: str = "sh") -> subprocess.CompletedProcess[str]:
    """One command line against an environment whose docker is a shell; stdin is no terminal."""
    code = PROGRAM.replace("PROGRAM", repr(program))
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, input="input", capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words", ["exec redis -- ls -la --json", "exec redis ls -la --json", "exec -- redis ls -la --json"]
)
def test_exec_ends_with_the_commands_exit_code(words: str) -> None:
    """With or without `--`, the command's own options are its own, and there is no terminal where there is none."""
    done = run(*words.split())
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout == "redis ['ls', '-la', '--json'] False\ngot ls -la --json\n"


def test_exec_without_a_command_is_a_usage_error() -> None:
    """Also behind a lonely `--`."""
    assert run("exec", "redis").returncode == 2
    assert run("exec", "redis", "--").returncode == 2


def test_a_docker_that_is_not_there_ends_with_4() -> None:
    """In words."""
    done = run("exec", "redis", "true", program="no-such-docker")
    assert done.returncode == 4
    assert "No such file or directory: no-such-docker" in done.stderr


def test_shell_hands_credentials_over_as_variables() -> None:
    """Not as arguments, which everybody on the machine can read."""
    done = run("shell", "postgres")
    assert (done.returncode, done.stdout) == (0, "as app at postgres with input False\n")

"""Bad input: what was wanted, what was found, what to do; exit code 2, nothing started, nothing left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.scenarios.scene import Scene

WRONG = [
    (("up", "--profile", "cor"), "did you mean 'core'?"),
    (("up", "--service", "postgers"), "did you mean 'postgres'?"),
    (("stats",), "did you mean 'status'?"),
    (("up", "--profil", "core"), "--profile"),
    (("up", "--ports", "sometimes"), "one of prefer, strict, auto"),
    (("up", "--images", "cloud"), "one of auto, registry, packages"),
    (("up", "--timeout", "0"), "--timeout"),
    (("up", "--timeout=-1"), "--timeout"),
    (("up", "--timeout", "abc"), "--timeout"),
    (("up", "--ttl", "soon"), "--ttl"),
    (("down", "--grace", "soon"), "a duration"),
    (("logs", "--tail", "many"), "--tail"),
    (("logs", "--since", "then"), "--since"),
    (("env", "--format", "xml"), "dotenv"),
    (("exec",), "SERVICE"),
    (("--env", "Not a Name!", "up"), "'not-a-name' would do"),
    (("--env", "-x", "up"), "--env"),
    (("up", "--file", "nowhere.yaml"), "no such compose file"),
    (("--config", "nowhere.yaml", "up"), "nowhere.yaml"),
    (("--quiet", "--verbose", "up"), "exclude each other"),
]


@pytest.mark.parametrize(("arguments", "hint"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_words_are_refused_with_the_right_ones(scene: Scene, arguments: tuple[str, ...], hint: str) -> None:
    """The nearest name or the allowed values; the same facts as the last JSON line."""
    said = scene.envctl(*arguments, exits=2)
    assert hint in said.err
    assert said.out == ""
    result = scene.envctl("--json", *arguments, exits=2).events[-1]
    assert (result["event"], result["ok"], result["exit_code"]) == ("result", False, 2)
    assert result["wanted"]
    assert scene.traces() == []


def test_all_problems_of_a_configuration_are_told_at_once(scene: Scene) -> None:
    """Wrong types, unknown keys, bad values: each with file, line and key, and none hides another."""
    file = scene.configure(
        """\
profiles: core
timeout: -5
portz: auto
services:
  redis:
    port: "many"
  postgres:
    optins: {}
ttl: [1]
"""
    )
    said = scene.envctl("up", exits=2)
    for line, key in [(1, "profiles"), (2, "timeout"), (3, "portz"), (6, "port"), (8, "optins"), (9, "ttl")]:
        assert any(f"{file}:{line}:" in told and key in told for told in said.err.splitlines()), (line, key)
    assert "did you mean 'ports'?" in said.err
    assert "did you mean 'options'?" in said.err
    assert scene.traces() == []


def test_broken_yaml_is_told_with_its_place(scene: Scene) -> None:
    """File and line; also by verbs that need little of it."""
    file = scene.configure("profiles: [core\ntimeout: 5\n")
    for verb in ("up", "status", "down"):
        assert f"{file}:" in scene.envctl(verb, exits=2).err


def test_a_wrong_variable_is_told_by_its_name(scene: Scene) -> None:
    """Whoever set it must find it."""
    said = scene.envctl("up", exits=2, environ={"ENVCTL_TIMEOUT": "never", "ENVCTL_PORTS": "sometimes"})
    assert "ENVCTL_TIMEOUT" in said.err
    assert "ENVCTL_PORTS" in said.err


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("services: {web: {imag: nginx}}", "imag"),
        ("services: [", "own.yaml"),
        ("services: {web: {image: x, depends_on: [nobody]}}", "nobody"),
    ],
    ids=["unknown key", "broken", "unknown service"],
)
def test_a_compose_file_that_compose_refuses_is_told_in_its_words(scene: Scene, text: str, hint: str) -> None:
    """With the file; nothing was started."""
    (scene.folder / "own.yaml").write_text(text)
    assert hint in scene.envctl("up", "--file", "own.yaml", exits=2).err
    assert scene.traces() == []


@pytest.mark.parametrize("verb", ["status", "env", "logs", "wait", "exec redis -- true", "shell redis"])
def test_a_verb_about_nothing_says_what_is_there(scene: Scene, verb: str) -> None:
    """Exit code 1, and how to make it."""
    said = scene.envctl(*verb.split(), exits=1)
    assert f"environment '{scene.name}'" in said.err
    assert f"envctl --env {scene.name} up" in said.err


def test_an_unknown_service_of_a_running_environment_is_told(scene: Scene) -> None:
    """With those that are there."""
    scene.envctl("up", "--service", "redis")
    for arguments in (("logs", "redsi"), ("exec", "redsi", "--", "true"), ("wait", "--service", "redsi")):
        assert "did you mean 'redis'?" in scene.envctl(*arguments, exits=2).err

"""Bad days: no engine, no compose, services that die or hang, readers that leave."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.scenarios.scene import Scene

NOWHERE = ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:9"]


@pytest.mark.parametrize("address", NOWHERE)
@pytest.mark.parametrize("verb", ["up", "status", "env", "ls", "logs", "down", "gc", "wait", "images list"])
def test_an_engine_that_is_not_there_is_named(scene: Scene, verb: str, address: str) -> None:
    """Exit code 4 with the address, why this one, and what to do; no state is left."""
    said = scene.envctl(*verb.split(), exits=4, environ={"DOCKER_HOST": address})
    assert address in said.err
    assert "DOCKER_HOST" in said.err
    assert "envctl doctor" in said.err
    assert scene.traces() == []


def test_a_missing_compose_plugin_is_named(scene: Scene) -> None:
    """Exit code 4 and the way to one; verbs that need no compose work."""
    bare = {"HOME": str(scene.folder), "DOCKER_CONFIG": str(scene.folder)}
    if not subprocess.run(["docker", "compose", "version"], env=scene.environ | bare, check=False).returncode:
        pytest.skip("compose is part of this system: it cannot be missing")
    said = scene.envctl("up", "--service", "redis", exits=4, environ=bare)
    assert "docker compose" in said.err
    assert "envctl doctor --fix" in said.err
    assert scene.traces() == []
    scene.envctl("down", environ=bare)
    scene.envctl("ls", environ=bare)


def test_down_needs_no_compose(scene: Scene) -> None:
    """Taking down goes by label alone."""
    scene.envctl("up", "--service", "redis")
    scene.envctl("down", environ={"HOME": str(scene.folder), "DOCKER_CONFIG": str(scene.folder)})
    scene.is_gone()


@pytest.mark.parametrize("verb", ["logs", "logs --json", "status --watch"])
def test_a_reader_that_leaves_ends_it_quietly(scene: Scene, verb: str) -> None:
    """`envctl logs | head -1`: one line, no complaint, and no process stays behind."""
    scene.envctl("up", "--service", "redis")
    command = " ".join([*scene.start("version").command[:-1], verb])
    said = scene.program("bash", "-c", f"{command} | head -1; echo ${{PIPESTATUS[0]}} >&2").finish()
    assert len(said.out.splitlines()) == 1
    assert said.err.strip() in {"0", "141"}


def test_a_service_that_dies_while_it_starts_ends_up_at_once(scene: Scene) -> None:
    """Not at the deadline; with the exit code and the last words of the culprit alone."""
    scene.configure("services: {redis: {options: {maxmemory: much}}}")
    said = scene.envctl("up", "--profile", "core", "--timeout", "500", "--json", exits=1)
    result = said.events[-1]
    assert (result["error"], result["service"]) == ("ServiceFailed", "redis")
    assert "exited with code 1" in result["found"]
    assert any("maxmemory" in line for line in result["log"])
    assert "postgres" not in said.err
    scene.is_gone()


def test_a_deadline_names_everything_that_is_still_missing(scene: Scene) -> None:
    """Each condition with its last answer; what was made is taken down."""
    said = scene.envctl("up", "--profile", "core", "--timeout", "50ms", "--json", exits=1)
    result = said.events[-1]
    assert result["error"] == "NotReadyInTime"
    assert {"postgres"} <= {one["service"] for one in result["unmet"]}
    assert all(one["last_error"] for one in result["unmet"])
    scene.is_gone()


def test_a_full_disk_of_the_state_folder_is_not_hidden(scene: Scene) -> None:
    """Nothing is started when passwords could not be kept."""
    said = scene.envctl("up", exits=2, environ={"XDG_STATE_HOME": "/dev/full"})
    assert "/dev/full" in said.err
    assert scene.traces() == []

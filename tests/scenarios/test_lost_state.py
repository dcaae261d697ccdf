"""The state folder is lost or cannot be written: what runs goes on, and nobody is locked out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from tests.scenarios.scene import Scene


def test_everything_works_when_the_state_folder_is_lost(scene: Scene) -> None:
    """The same passwords, the same containers, the same ports: they are read back from what runs."""
    scene.envctl("up", "--profile", "core")
    variables, ids = scene.envctl("env", "--format", "json").document, scene.ids()
    scene.lose_state()
    assert scene.envctl("env", "--format", "json").document == variables
    scene.envctl("up", "--profile", "core")
    assert scene.ids() == ids
    scene.lose_state()
    scene.envctl("up", "--profile", "core", "--recreate")
    assert scene.envctl("env", "--format", "json").document == variables
    with psycopg.connect(variables["DATABASE_URL"]) as db:
        assert db.execute("select 1").fetchone() == (1,)
    scene.lose_state()
    scene.envctl("down")
    scene.is_gone()


def test_data_whose_passwords_are_lost_is_not_touched(scene: Scene) -> None:
    """Containers and state are gone, volumes are there: `up` says so and what to do, and changes nothing."""
    scene.envctl("up", "--service", "redis")
    scene.containers()["redis"].remove(force=True)
    scene.lose_state()
    said = scene.envctl("up", "--service", "redis", exits=2)
    assert f"envctl-{scene.name}_redis-data" in said.err
    assert f"envctl --env {scene.name} down" in said.err
    scene.envctl("down")
    scene.envctl("up", "--service", "redis")


def test_damaged_state_is_named(scene: Scene) -> None:
    """With the file and what to do; `ls` and `down` work all the same."""
    scene.envctl("up", "--service", "redis")
    file = scene.state / "envctl" / scene.name / "environment.json"
    file.write_text('{"secrets": ')
    for verb in ("up", "status", "env"):
        assert str(file) in scene.envctl(verb, exits=2).err
    assert scene.name in scene.envctl("ls").out
    scene.envctl("down")
    scene.is_gone()


@pytest.mark.parametrize("verb", ["up", "wait", "status", "env", "down", "gc", "ls", "logs"])
def test_a_file_in_place_of_the_state_folder_is_named(scene: Scene, verb: str) -> None:
    """`up` ends with 2 and the path; verbs that only look say that nothing is there, and none fails strangely."""
    scene.state.write_text("a file")
    said = scene.for_all(verb, exits=None)
    assert said.code == {"up": 2, "wait": 1, "status": 1, "env": 1, "logs": 1}.get(verb, 0)
    if verb == "up":
        assert str(scene.state) in said.err
        assert "XDG_STATE_HOME" in said.err
    assert scene.containers() == {}


def test_a_state_folder_that_cannot_be_made_is_named(scene: Scene) -> None:
    """Nothing is started, and the message says which variable would help."""
    said = scene.envctl("up", exits=2, environ={"XDG_STATE_HOME": "/proc/nowhere"})
    assert "XDG_STATE_HOME" in said.err
    assert scene.containers() == {}


def test_a_read_only_state_folder_is_named(scene: Scene) -> None:
    """Looking works; `up` and what must write say why not."""
    scene.envctl("up", "--service", "redis")
    ids = scene.ids()
    with scene.read_only_state() as envctl:
        assert envctl("status", "--json").finish().document["state"] == "ready"
        assert "REDIS_URL" in envctl("env").finish().out
        said = envctl("up", "--service", "redis", "--recreate").finish(exits=2)
        assert str(scene.state) in said.err
        assert "XDG_STATE_HOME" in said.err
        assert scene.ids() == ids
        left = envctl("down").finish(exits=3)
        assert str(scene.state) in left.err
    assert scene.containers() == {}
    scene.envctl("down")
    scene.is_gone()


def test_the_state_is_the_users_alone(scene: Scene) -> None:
    """Folders 0700, files 0600: they hold passwords."""
    scene.envctl("up", "--service", "redis", "--ttl", "1h")
    folders = [scene.state / "envctl", scene.state / "envctl" / scene.name]
    assert {oct(folder.stat().st_mode & 0o777) for folder in folders} == {"0o700"}
    files = [path for path in folders[0].rglob("*") if path.is_file()]
    assert files
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    assert {file.stat().st_uid for file in files} == {os.getuid()}

"""`down` removes everything, proves it, and names with the reason what it could not remove."""

from __future__ import annotations

from typing import TYPE_CHECKING

import docker.errors
import pytest

if TYPE_CHECKING:
    from tests.scenarios.scene import Scene

UP = ("up", "--service", "redis")

ANONYMOUS = """
services:
  keeper:
    image: {image}
    entrypoint: [sleep, "600"]
    init: true
    volumes: [/scratch]
    labels: {{envctl.ready.exec: "true"}}
"""


def test_down_leaves_nothing_and_a_second_one_finds_nothing(scene: Scene) -> None:
    """Containers, network, volumes, state, helpers and ports; twice is fine, and says so."""
    scene.envctl(*UP)
    port = scene.envctl("status", "--json").document["services"]["redis"]["port"]
    assert not scene.is_free(port)
    result = scene.envctl("down", "--json").events[-1]
    assert {one["kind"] for one in result["removed"]} == {"container", "network", "volume"}
    scene.is_gone()
    assert scene.is_free(port)
    again = scene.envctl("down", "--json").events[-1]
    assert (again["ok"], again["removed"], again["leaks"]) == (True, [], [])


def test_down_where_nothing_ever_was_is_fine(scene: Scene) -> None:
    """It does nothing, says so, and makes no state folder."""
    assert "nothing to remove" in scene.envctl("down").out
    assert not scene.state.exists()


def test_down_needs_no_file(scene: Scene) -> None:
    """Neither the configuration, nor the user's compose file, nor the state folder: the engine's labels suffice."""
    compose = scene.folder / "own.yaml"
    compose.write_text(ANONYMOUS.format(image=scene.image("redis")))
    scene.configure("files: [own.yaml]")
    scene.envctl(*UP)
    assert {*scene.containers()} == {"redis", "keeper"}
    scene.step("every file is lost")
    compose.unlink()
    (scene.folder / "envctl.yaml").unlink()
    scene.lose_state()
    scene.envctl("down")
    scene.is_gone()


def test_anonymous_volumes_go_too(scene: Scene) -> None:
    """Those that no label marks, because the engine made them for a container."""
    file = scene.folder / "own.yaml"
    file.write_text(ANONYMOUS.format(image=scene.image("redis")))
    scene.envctl("up", "--file", "own.yaml", "--service", "keeper")
    volumes = [mount["Name"] for mount in scene.containers()["keeper"].attrs["Mounts"]]
    assert [scene.engine.volumes.get(volume).name for volume in volumes] == volumes != []
    scene.envctl("down")
    scene.is_gone()
    for volume in volumes:
        with pytest.raises(docker.errors.NotFound):
            scene.engine.volumes.get(volume)


def test_down_with_grace_lets_the_services_end_by_themselves(scene: Scene) -> None:
    """Redis gets its signal and says good-bye before its container goes."""
    scene.envctl(*UP)
    log = scene.containers()["redis"].logs(stream=True, follow=True)
    scene.envctl("down", "--grace", "30")
    assert b"User requested shutdown" in b"".join(log)
    scene.is_gone()


def test_down_finishes_what_somebody_began_by_hand(scene: Scene) -> None:
    """A container and the network's last user were removed by hand."""
    scene.envctl("up", "--profile", "core")
    scene.containers()["postgres"].remove(force=True, v=True)
    scene.envctl("down")
    scene.is_gone()


def test_a_volume_in_use_by_a_stranger_is_named(scene: Scene) -> None:
    """Exit code 3 with the volume and the reason; all else is gone, the stranger lives; then `down` finishes."""
    scene.envctl(*UP)
    volume = f"envctl-{scene.name}_redis-data"
    stranger = scene.stranger(volumes={volume: {"bind": "/theirs", "mode": "ro"}})
    said = scene.envctl("down", "--json", exits=3)
    assert volume in said.err
    assert "in use" in said.err
    assert (said.events[-1]["ok"], said.events[-1]["error"]) == (False, "LeakFound")
    assert scene.containers() == {}
    stranger.reload()
    assert stranger.status == "running"
    stranger.remove(force=True, v=True)
    scene.envctl("down")
    scene.is_gone()


def test_a_network_in_use_by_a_stranger_is_named(scene: Scene) -> None:
    """As with a volume."""
    scene.envctl(*UP)
    network = f"envctl-{scene.name}_default"
    stranger = scene.stranger(network=network)
    said = scene.envctl("down", exits=3)
    assert network in said.err
    assert "active endpoints" in said.err
    stranger.remove(force=True, v=True)
    scene.envctl("down")
    scene.is_gone()


def test_down_all_takes_every_environment_down(scene: Scene) -> None:
    """From any folder, whatever their names; what is not envctl's stays."""
    stranger = scene.stranger()
    names = [f"{scene.name}-{number}" for number in range(2)]
    for name in names:
        scene.envctl("--env", name, *UP)
    result = scene.for_all("--env", f"{scene.name}-other", "down", "--all", "--json").events[-1]
    assert result["environments"] == names
    scene.is_gone()
    stranger.reload()
    assert stranger.status == "running"


def test_no_check_removes_without_looking(scene: Scene) -> None:
    """It says that it did not look."""
    scene.envctl(*UP)
    assert "not checked" in scene.envctl("down", "--no-check").out
    scene.is_gone()


def test_the_services_of_others_are_left_alone(scene: Scene) -> None:
    """`down` of one environment touches no other, not even one whose name begins like it."""
    longer = f"{scene.name}-longer"
    scene.envctl(*UP)
    scene.envctl("--env", longer, *UP)
    ids = scene.ids(longer)
    scene.envctl("down")
    assert scene.ids() == {}
    assert scene.ids(longer) == ids
    assert scene.envctl("--env", longer, "status", "--json").document["state"] == "ready"

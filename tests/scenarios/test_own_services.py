"""The user's compose files beside envctl's: several, overlapping, with builds, paths and mistakes of their own."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import docker.errors
import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.scenarios.scene import Scene

TINY = "x-tiny: &tiny {image: 'envctl/base:trixie', init: true}\n"


def write(folder: Path, name: str, text: str) -> str:
    """A file of the user's; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text)
    return str(file)


@pytest.fixture
def built(scene: Scene) -> Iterator[str]:
    """The name of the image that compose makes for the service `mine`; removed at the end, if it was made."""
    name = f"envctl-{scene.name}-mine"
    yield name
    scene.envctl("down")
    with suppress(docker.errors.ImageNotFound):  # the test failed before it was made
        scene.engine.images.remove(name, force=True)


def test_a_build_section_is_built(scene: Scene, built: str) -> None:
    """From the folder beside the compose file, wherever envctl is called."""
    project = scene.folder / "project"
    write(project, "word", "baked in\n")
    write(project, "Dockerfile", "FROM envctl/base:trixie\nCOPY word /word\nCMD cat /word; exec sleep infinity\n")
    file = write(
        project,
        "mine.yaml",
        'services: {mine: {build: ., init: true, labels: {envctl.ready.log: "^baked in$"}}}\n',
    )
    scene.envctl("up", "--file", file, "--service", "mine")
    assert scene.engine.images.get(built).id == scene.containers()["mine"].image.id
    scene.envctl("down")
    scene.is_gone()


def test_files_overlap_each_other_and_the_services_of_envctl(scene: Scene) -> None:
    """The later one wins, everything else stays: PostgreSQL keeps its identities, its pinned port and its volume."""
    one = write(
        scene.folder,
        "one.yaml",
        f"""{TINY}services:
  postgres: {{command: [postgres, -c, max_connections=42], environment: {{EXTRA: word}}}}
  mine: {{<<: *tiny, command: [sleep, infinity], environment: {{FIRST: one, SECOND: one}}}}
volumes: {{unused: }}
""",
    )
    two = write(
        scene.folder,
        "two.yaml",
        f"""{TINY}services:
  mine: {{environment: {{SECOND: two}}, volumes: ["kept:/kept"], networks: [default, back]}}
  late: {{<<: *tiny, command: [sleep, infinity], depends_on: [mine], networks: [back]}}
volumes: {{kept: }}
networks: {{back: }}
""",
    )
    up = ("up", "--json", "--file", one, "--file", two, "--service", "postgres")
    result = scene.envctl(*up).events[-1]
    assert {name: service["state"] for name, service in result["services"].items()} == {
        "postgres": "ready",
        "mine": "ready",
        "late": "ready",
    }
    with psycopg.connect(scene.envctl("env", "--format", "json").document["DATABASE_URL"]) as db:
        assert db.execute("SHOW max_connections").fetchone() == ("42",)
    variables = {name: c.attrs["Config"]["Env"] for name, c in scene.containers().items()}
    assert {"EXTRA=word", "POSTGRES_USER=envctl"} <= {*variables["postgres"]}
    assert {"FIRST=one", "SECOND=two"} <= {*variables["mine"]}

    scene.step("the same files again change nothing")
    ids = scene.ids()
    assert scene.envctl(*up).events[-1]["recreated"] == {}
    assert scene.ids() == ids

    scene.step("volumes and networks of the user's go as well")
    assert {f"envctl-{scene.name}_{name}" for name in ("kept", "back")} <= {r.name for r in scene.resources()}
    scene.envctl("down")
    scene.is_gone()


def test_paths_in_a_file_begin_where_the_file_is(scene: Scene) -> None:
    """Bind mounts, env files and the `.env` beside it: as compose reads that file alone, not where envctl is called."""
    project = scene.folder / "project"
    write(project / "data", "word", "mounted\n")
    write(project, "settings.env", "FROM_FILE=from-file\n")
    write(project, ".env", "INTERPOLATED=interpolated\n")
    file = write(
        project,
        "mine.yaml",
        f"""{TINY}services:
  mine:
    <<: *tiny
    volumes: ["./data:/data:ro"]
    env_file: settings.env
    command: [bash, -c, 'echo "$$(</data/word) $$FROM_FILE ${{INTERPOLATED}}"; exec sleep infinity']
    labels: {{envctl.ready.log: "mounted from-file interpolated"}}
""",
    )
    scene.envctl("up", "--file", file, "--service", "mine")
    scene.envctl("down")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--profile", "reprots"], "did you mean 'reports'?"),
        (["--profile", "ful"], "did you mean 'full'?"),
        (["--service", "mime"], "did you mean 'mine'?"),
    ],
)
def test_unknown_names_are_told_with_the_nearest_of_the_users_and_of_envctls(
    scene: Scene, options: list[str], words: str
) -> None:
    """Profiles of both kinds and services; nothing is started."""
    file = write(scene.folder, "mine.yaml", f"{TINY}services: {{mine: {{<<: *tiny, profiles: [reports]}}}}\n")
    assert words in scene.envctl("up", "--file", file, *options, exits=2).err
    assert scene.resources() == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: {mine: {imag: x}}\n", "imag"),
        ("services: {mine: {image: [}}\n", "yaml"),
        ("services: {mine: {image: x, depends_on: [nobody]}}\n", "nobody"),
        ("services: {mine: {image: x, volumes: ['nowhere:/data']}}\n", "nowhere"),
    ],
    ids=["unknown key", "broken YAML", "unknown service", "unknown volume"],
)
def test_a_file_that_compose_refuses_is_named_with_the_reason(scene: Scene, text: str, words: str) -> None:
    """In one error with exit code 2, before anything is started."""
    said = scene.envctl("up", "--json", "--file", write(scene.folder, "mine.yaml", text), exits=2)
    assert said.events[-1]["error"] == "ConfigurationError"
    assert words in said.events[-1]["found"]
    assert scene.resources() == []


def test_a_file_that_is_not_there_is_named(scene: Scene) -> None:
    """Before the engine is asked for anything."""
    assert "nowhere.yaml" in scene.envctl("up", "--file", "nowhere.yaml", exits=2).err


def test_a_container_name_that_somebody_has_fails_up_and_stays_theirs(scene: Scene) -> None:
    """The engine's words say which; what was made so far goes, the other's container does not."""
    theirs = scene.stranger()
    named = f"{TINY}services: {{mine: {{<<: *tiny, container_name: {theirs.name}}}}}\n"
    said = scene.envctl("up", "--json", "--file", write(scene.folder, "mine.yaml", named), "--service", "mine", exits=1)
    assert theirs.name in said.events[-1]["found"]
    scene.is_gone()
    theirs.reload()
    assert theirs.status == "running"


def test_a_condition_that_never_comes_true_ends_with_the_deadline(scene: Scene) -> None:
    """Compose would wait for ever; who was not started is named, with what it waits for, and nothing is left."""
    waits = "depends_on: {first: {condition: service_completed_successfully}}"
    text = f"{TINY}services:\n  first: {{<<: *tiny, command: [sleep, infinity]}}\n  late: {{<<: *tiny, {waits}}}\n"
    file = write(scene.folder, "mine.yaml", text)
    said = scene.envctl("up", "--json", "--file", file, "--service", "late", "--timeout", "5", exits=1).events[-1]
    assert said["error"] == "NotReadyInTime"
    [late] = said["unmet"]
    assert (late["service"], late["state"]) == ("late", "created")
    assert late["last_error"].endswith("waits for first")
    scene.is_gone()


def test_an_image_that_nobody_has_is_told_by_name(scene: Scene) -> None:
    """A service of the user's whose image no registry serves; nothing is left behind."""
    file = write(scene.folder, "mine.yaml", "services: {mine: {image: 'registry.invalid/nothing:1'}}\n")
    said = scene.envctl("up", "--json", "--file", file, "--service", "mine", exits=1)
    assert "registry.invalid/nothing:1" in str(said.events[-1])
    scene.is_gone()

"""Secrets stay where they belong: no verb but `env` shows one, nor does the engine, nor any process's arguments."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.scenarios.program import Said
    from tests.scenarios.scene import Scene


def passwords(scene: Scene, name: str = "") -> set[str]:
    """Every password of an environment, from its state file."""
    state = json.loads((scene.state / "envctl" / (name or scene.name) / "environment.json").read_text())
    found = {password for identities in state["secrets"].values() for password in identities.values()}
    assert len(found) >= 8
    return found


@contextmanager
def watched_arguments() -> Iterator[set[str]]:
    """The arguments of every process of this machine, in containers or not, seen again and again meanwhile."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    seen.update(process.cmdline())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(60)


@pytest.fixture(scope="module")
def full(new_scene: Callable[[], AbstractContextManager[Scene]]) -> Iterator[Scene]:
    """The scene of one environment with every service."""
    with new_scene() as scene:
        yield scene


@pytest.fixture(scope="module")
def while_it_came_up(full: Scene) -> tuple[Said, set[str]]:
    """What `up` said, and the arguments of all processes until then."""
    with watched_arguments() as seen:
        said = full.envctl("up", "--profile", "full", "--json", "-v")
    return said, seen


def test_up_says_no_secret(full: Scene, while_it_came_up: tuple[Said, set[str]]) -> None:
    """Neither in an event nor in words, with everything switched on."""
    said, _ = while_it_came_up
    assert [password for password in passwords(full) if password in said.text] == []


def test_no_process_has_a_secret_among_its_arguments(full: Scene, while_it_came_up: tuple[Said, set[str]]) -> None:
    """Compose and the docker client on the host, the entrypoints and servers in the containers: all were looked at."""
    _, seen = while_it_came_up
    assert any(full.name in argument for argument in seen), "compose was not seen"
    assert "org.apache.spark.sql.connect.service.SparkConnectServer" in seen, "no process of a container was seen"
    assert [password for password in passwords(full) if any(password in argument for argument in seen)] == []


@pytest.mark.usefixtures("while_it_came_up")
@pytest.mark.parametrize(
    "verb",
    [
        *("up --profile full -v", "up --profile full --json", "status", "status --json", "ls", "ls --json", "logs"),
        *("logs --json", "wait -v", "wait --json", "exec postgres -- env", "exec minio -- env", "gc --dry-run"),
    ],
)
def test_no_verb_shows_a_secret(full: Scene, verb: str) -> None:
    """On neither stream; nor do the variables of what runs in the containers."""
    text = full.envctl(*verb.split()).text
    assert [password for password in passwords(full) if password in text] == []


@pytest.mark.usefixtures("while_it_came_up")
def test_env_shows_the_apps_secrets_and_never_the_administrators(full: Scene) -> None:
    """It is the one verb that hands them over, and only those that are the tests'."""
    state = json.loads((full.state / "envctl" / full.name / "environment.json").read_text())["secrets"]
    text = full.envctl("env").out
    assert {name for name, both in state.items() if both["app"] in text} == state.keys()
    assert [name for name, both in state.items() if both["admin"] in text] == []


@pytest.mark.usefixtures("while_it_came_up")
def test_the_engine_tells_nobody_a_secret(full: Scene) -> None:
    """No inspect of a container, network, volume or image, and no log, has one: not even of a service's own."""
    containers = full.containers().values()
    assert len(containers) == 6
    told = json.dumps([*(r.attrs for r in full.resources()), *(c.image.attrs for c in containers)])
    told += "".join(c.logs().decode(errors="replace") for c in containers)
    assert [password for password in passwords(full) if password in told] == []


@pytest.mark.usefixtures("while_it_came_up")
def test_the_state_is_for_its_owner_alone(full: Scene) -> None:
    """Folders 0700, files 0600, and no file but the state itself has a secret."""
    folder = full.state / "envctl"
    paths = [folder, *folder.rglob("*")]
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_dir()} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_file()} == {"0o600"}
    known = passwords(full)
    holders = {path.name for path in paths if path.is_file() and any(word in path.read_text() for word in known)}
    assert holders == {"environment.json"}


@pytest.mark.usefixtures("while_it_came_up")
def test_two_environments_share_no_secret(full: Scene) -> None:
    """A password that leaked from one opens no other."""
    other = f"{full.name}-other"
    full.envctl("--env", other, "up", "--service", "redis")
    theirs = passwords(full, other)
    full.envctl("--env", other, "down")
    assert not theirs & passwords(full)


@pytest.mark.usefixtures("while_it_came_up")
def test_a_refused_login_is_told_without_the_password(full: Scene) -> None:
    """Who was refused is named, in the reason and in the server's own log, and with what is not."""
    postgres = full.containers()["postgres"]

    def change_password(word: str) -> None:
        script = f"""echo "ALTER ROLE envctl PASSWORD '{word}'" | psql -h 127.0.0.1 -U envctl -d app -q"""
        assert postgres.exec_run(["sh", "-c", script]).exit_code == 0

    def refused() -> Said:
        said = full.envctl("wait", "--service", "postgres", "--timeout", "1", "--json", "-v", exits=1)
        assert 'authentication failed for user "envctl"' in said.events[-1]["unmet"][0]["last_error"]
        return said

    change_password("another")
    try:
        # A second is enough for a refusal, unless others have the processors.
        said = full.eventually(refused)
    finally:
        change_password("$(cat /run/secrets/postgres_admin)")
    (unmet,) = said.events[-1]["unmet"]
    assert 'authentication failed for user "envctl"' in str(unmet["log"])
    assert [password for password in passwords(full) if password in said.text] == []


def test_an_error_shows_a_culprits_log_without_its_secrets(scene: Scene) -> None:
    """A service of the user's that prints the password that it was given, and dies of it."""
    file = scene.folder / "mine.yaml"
    file.write_text(
        """
services:
  talks:
    image: envctl/base:trixie
    secrets: [redis_admin]
    command: [bash, -c, 'echo "the word is $$(</run/secrets/redis_admin)"; exit 1']
"""
    )
    with watched_arguments() as seen:
        said = scene.envctl(
            "up", "--json", "-v", "--file", str(file), "--service", "talks", "--keep-on-failure", exits=1
        )
    assert said.events[-1]["log"] == ["the word is ***"]
    assert "the word is ***" in said.err
    everything = said.text + "\n".join(seen)
    assert [password for password in passwords(scene) if password in everything] == []
    scene.envctl("down")
    assert not Path(scene.state / "envctl" / scene.name).exists()

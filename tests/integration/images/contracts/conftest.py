"""Containers of single images, started as `docker run` starts them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from envctl.config import bundle_root
from envctl.engine.images import load
from envctl.protocols import NotReady
from envctl.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

PATIENCE = 90.0
"""Seconds; machines that run tests are busy."""


class Box:
    """One container, seen through the engine."""

    def __init__(self, container: Any) -> None:  # noqa: ANN401 - the SDK's
        self.container = container

    @property
    def facts(self) -> dict[str, Any]:
        """What an inspect says now."""
        self.container.reload()
        facts: dict[str, Any] = self.container.attrs
        return facts

    def answers(self, command: str) -> str:
        """What a shell's command in it says, as soon as it succeeds."""

        def ask() -> str:
            assert self.facts["State"]["Running"], self.container.logs().decode()
            done = self.container.exec_run(["sh", "-c", command])
            if done.exit_code:
                raise NotReady(done.output.decode())
            return str(done.output.decode())

        return until(ask, PATIENCE, command)

    def ended(self) -> tuple[int, str]:
        """The exit code, as soon as it ends by itself, and all that it said."""
        code = self.container.wait(timeout=PATIENCE)["StatusCode"]
        return code, self.container.logs().decode()


@pytest.fixture(scope="session")
def image_of(engine: docker.DockerClient) -> Callable[[str], Any]:
    """The image of a service that is here: the one built here, else the official one."""
    table = load(bundle_root() / "compose" / "images" / "images.yaml")

    def find(name: str) -> Any:  # noqa: ANN401 - the SDK's image
        recipe = table[name]
        for reference in (recipe.tag, recipe.official):
            if reference and (found := engine.images.list(reference)):
                return found[0]
        pytest.fail(f"neither {recipe.tag} nor {recipe.official} is here: `make images` gets them")

    return find


@pytest.fixture(scope="module")
def run(engine: docker.DockerClient, image_of: Callable[[str], Any]) -> Iterator[Callable[..., Box]]:
    """Starts containers, with files in them from the beginning; all are removed at the end."""
    made = []

    def start(image: str, *command: str, archive: bytes = b"", **options: Any) -> Box:  # noqa: ANN401 - the SDK's
        name = f"imgtest-contract-{secrets.token_hex(4)}"
        container = engine.containers.create(image_of(image).id, list(command) or None, name=name, **options)
        made.append(container)
        if archive:
            container.put_archive("/", archive)
        container.start()
        return Box(container)

    yield start
    for container in reversed(made):
        container.remove(force=True, v=True)

"""Pulling, against a real registry."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from envctl.engine.images import Origin, Stock, list_images, resolve
from envctl.errors import ConfigurationError, RegistryUnreachable
from envctl.model import ImageSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import docker

    from tests.integration.images.conftest import Heard

    Maker = Callable[..., Any]

UNKNOWN_DIGEST = "sha256:" + "0" * 64
STONE = "ARG BASE\nFROM ${BASE}\nCOPY Dockerfile /made\n"


def test_an_absent_image_is_pulled_by_tag_and_digest(
    table: Maker, shop: Maker, published: tuple[str, str], heard: Heard, api: docker.APIClient
) -> None:
    """The pinned image comes, the event tells its size, and the engine starts containers from the name handed out."""
    official, digest = published
    images = resolve(shop(table(pebble={"official": official, "digest": digest})), ["pebble"])

    assert [(i.reference, i.origin, i.proof) for i in images] == [(f"{official}@{digest}", Origin.PULLED, digest)]
    assert heard.named("image.pulled")[0]["digest"] == digest
    assert heard.named("image.pulled")[0]["bytes"] > 0
    container = api.create_container(images[0].reference, command=["none"])
    api.remove_container(container["Id"])


def test_compose_finds_the_pulled_image_by_the_name_handed_out(
    table: Maker, shop: Maker, published: tuple[str, str], tmp_path: Path, repo: str
) -> None:
    """Tag and digest in one reference; compose is told never to pull."""
    official, digest = published
    image = resolve(shop(table(pebble={"official": official, "digest": digest})), ["pebble"])[0]
    file = tmp_path / "compose.yaml"
    file.write_text(f"services: {{pebble: {{image: '{image.reference}', command: none, network_mode: none}}}}\n")
    compose = ["docker", "compose", "--project-name", repo.replace("/", "-"), "--file", str(file)]
    try:
        created = subprocess.run([*compose, "create", "--pull", "never"], capture_output=True, text=True, check=False)
        assert created.returncode == 0, created.stderr
    finally:
        subprocess.run([*compose, "down"], capture_output=True, check=True)


def test_a_present_image_costs_one_look(table: Maker, shop: Maker, published: tuple[str, str], heard: Heard) -> None:
    """The second time nothing is pulled; `images list` says where it came from."""
    official, digest = published
    workshop = shop(table(pebble={"official": official, "digest": digest}))
    resolve(workshop, ["pebble"])
    heard.clear()

    again = resolve(workshop, ["pebble"])

    assert [name for name, _ in heard] == ["image.present"]
    assert str(again[0]) == f"pulled ({digest})"
    assert list_images(workshop)[0].origin == f"pulled ({digest})"


def test_without_a_pinned_digest_the_digest_that_came_is_reported(
    table: Maker, shop: Maker, published: tuple[str, str], heard: Heard
) -> None:
    """A tag alone is pulled, and what it stood for is said."""
    official, digest = published
    images = resolve(shop(table(pebble={"official": official})), ["pebble"])

    assert (images[0].reference, images[0].proof) == (official, digest)
    assert heard.named("image.pulled")[0]["digest"] == digest


def test_a_digest_that_the_registry_does_not_hold_is_refused(
    table: Maker, shop: Maker, published: tuple[str, str]
) -> None:
    """With `registry` forced, the error carries what the registry said."""
    workshop = shop(table(pebble={"official": published[0], "digest": UNKNOWN_DIGEST}))

    with pytest.raises(RegistryUnreachable, match=r"manifest unknown|not found"):
        resolve(workshop, ["pebble"], ImageSource.REGISTRY)


def test_what_the_registry_does_not_hold_is_built_and_said(
    table: Maker, shop: Maker, published: tuple[str, str], stone: str, heard: Heard
) -> None:
    """In `auto` a refusal is an event, and the look-alike is built."""
    recipe = {"dockerfile": STONE, "args": {"BASE": stone}}
    catalogue = table(pebble={"official": published[0], "digest": UNKNOWN_DIGEST, **recipe})

    images = resolve(shop(catalogue), ["pebble"])

    assert images[0].origin is Origin.BUILT
    assert [name for name, _ in heard if name in {"image.pull_failed", "image.built"}] == [
        "image.pull_failed",
        "image.built",
    ]


def test_a_mirror_replaces_the_host_of_official_images(
    table: Maker, shop: Maker, published: tuple[str, str], registry: str
) -> None:
    """The same path, tag and digest, from the mirror."""
    official, digest = published
    elsewhere = official.replace(registry, "registry.invalid")
    workshop = shop(table(pebble={"official": elsewhere, "digest": digest}), mirror=registry)

    assert resolve(workshop, ["pebble"])[0].reference == f"{official}@{digest}"


def test_the_users_own_image_is_pulled_and_never_built(
    table: Maker, shop: Maker, published: tuple[str, str], stone: str
) -> None:
    """An override wins over the table; one that cannot be pulled is an error even where a recipe exists."""
    workshop = shop(table(pebble={"dockerfile": STONE, "args": {"BASE": stone}}))

    assert resolve(workshop, ["pebble"], overrides={"pebble": published[0]})[0].reference == published[0]
    with pytest.raises(RegistryUnreachable):
        resolve(workshop, ["pebble"], overrides={"pebble": published[0].replace("pebble", "no-such")})
    with pytest.raises(ConfigurationError, match=r"services\.pebble\.image"):
        resolve(workshop, ["pebble"], overrides={"pebble": "NOT an image"})


def test_the_users_own_image_may_be_named_by_its_id(
    table: Maker, shop: Maker, stone: str, api: docker.APIClient
) -> None:
    """As `docker images` prints it; no registry is asked."""
    identity = api.inspect_image(stone)["Id"]
    workshop = shop(table())

    images = resolve(workshop, ["a", "b"], overrides={"a": identity, "b": identity.removeprefix("sha256:")[:12]})

    assert [image.reference for image in images] == [identity, identity]


def test_an_image_loaded_from_a_file_counts_as_present(table: Maker, shop: Maker, stone: str, heard: Heard) -> None:
    """A tag of which the engine knows no digest may stand for the pinned image: machines without network load files."""
    images = resolve(shop(table(stone={"official": stone, "digest": UNKNOWN_DIGEST})), ["stone"])

    assert (images[0].reference, images[0].origin) == (stone, Origin.UNKNOWN)
    assert heard.named("image.present")[0]["origin"] == "present, origin unknown"


def test_a_tag_that_has_moved_on_is_another_image(
    table: Maker, shop: Maker, published: tuple[str, str], api: docker.APIClient
) -> None:
    """Present under the tag, but known to be another digest: not what is pinned."""
    official, _ = published
    name, _, tag = official.rpartition(":")
    api.pull(name, tag)
    workshop = shop(table(pebble={"official": official, "digest": UNKNOWN_DIGEST}))

    assert Stock.look(api).official(workshop, workshop.catalogue["pebble"]) is None

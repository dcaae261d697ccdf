"""Pulling from a registry that refuses, fails, lies or says nothing."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from envctl import events
from envctl.engine.images import Origin, Stock, Wish, resolve
from envctl.engine.images.crew import Stop
from envctl.engine.images.pull import pull
from envctl.errors import DigestMismatch, Interrupted, RateLimited, RegistryUnreachable
from envctl.model import ImageSource

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

    from tests.integration.images.conftest import Heard
    from tests.integration.images.moody.conftest import MoodyRegistry

    Maker = Callable[..., Any]
    Pull = dict[str, Any]

AT_ONCE = 30.0
"""Seconds that are too many for what waits for nobody, also on a busy machine."""

STONE = "ARG BASE\nFROM ${BASE}\nCOPY Dockerfile /made\n"


@pytest.fixture
def pebble(moody: MoodyRegistry, stone: str) -> dict[str, Any]:
    """An image that the moody registry holds and that can also be built."""
    pull = {"official": moody.reference, "digest": moody.digest}
    return {**pull, "dockerfile": STONE, "args": {"BASE": stone}}


def test_a_registry_in_a_good_mood_serves(table: Maker, shop: Maker, moody: MoodyRegistry, pebble: Pull) -> None:
    """The small server speaks well enough for the engine to pull: what follows is due to its moods."""
    assert resolve(shop(table(pebble=pebble)), ["pebble"])[0].proof == moody.digest


def test_too_many_requests_is_an_error_with_advice(
    table: Maker, shop: Maker, moody: MoodyRegistry, pebble: Pull
) -> None:
    """429: log in, use a mirror, wait, or build."""
    moody.moods["manifests"] = [429]

    with pytest.raises(RateLimited) as caught:
        resolve(shop(table(pebble=pebble)), ["pebble"], ImageSource.REGISTRY)

    assert all(word in caught.value.advice for word in ("docker login", "ENVCTL_REGISTRY", "--images packages"))
    assert "rate limit" in caught.value.found


def test_a_registry_that_limits_us_is_not_asked_for_the_rest(
    table: Maker, shop: Maker, moody: MoodyRegistry, pebble: Pull, heard: Heard
) -> None:
    """In `auto` both images are built, each with the reason; the registry saw one question."""
    moody.moods["manifests"] = [429]

    images = resolve(shop(table(pebble=pebble, second=pebble)), ["pebble", "second"])

    assert [image.origin for image in images] == [Origin.BUILT, Origin.BUILT]
    assert [failure["error"] for failure in heard.named("image.pull_failed")] == ["RateLimited", "RateLimited"]
    assert moody.requests("/manifests/") == 1


@pytest.mark.parametrize("status", [404, 401])
def test_what_a_registry_does_not_give_is_an_error_in_its_words(
    table: Maker, shop: Maker, moody: MoodyRegistry, pebble: Pull, status: int
) -> None:
    """Not there, or not for us."""
    moody.moods["manifests"] = [status]

    with pytest.raises(RegistryUnreachable, match=r"unknown|unauthorized|denied|not found"):
        resolve(shop(table(pebble=pebble)), ["pebble"], ImageSource.REGISTRY)


def test_a_forged_manifest_is_never_used(
    table: Maker, shop: Maker, moody: MoodyRegistry, pebble: Pull, api: docker.APIClient
) -> None:
    """Other bytes under the pinned digest: refused, and nothing of it stays on the engine."""
    moody.forged[moody.digest] = moody.content[moody.digest].replace(b'"schemaVersion": 2', b'"schemaVersion":  2')
    workshop = shop(table(pebble=pebble))

    with pytest.raises(DigestMismatch, match="it was not used"):
        resolve(workshop, ["pebble"], ImageSource.REGISTRY)

    assert Stock.look(api).official(workshop, workshop.catalogue["pebble"]) is None


def test_a_forged_layer_is_never_used(table: Maker, shop: Maker, moody: MoodyRegistry, pebble: Pull) -> None:
    """The right manifest, other bytes in a layer."""
    name = next(key for key, value in moody.content.items() if value == moody.layer)
    moody.forged[name] = moody.layer[:-1] + bytes([moody.layer[-1] ^ 1])

    with pytest.raises(DigestMismatch):
        resolve(shop(table(pebble=pebble)), ["pebble"], ImageSource.REGISTRY)


def test_in_auto_a_forgery_is_said_and_the_image_is_built(
    table: Maker, shop: Maker, moody: MoodyRegistry, pebble: Pull, heard: Heard
) -> None:
    """The build does not depend on who forged; the event names the mismatch."""
    moody.forged[moody.digest] = moody.content[moody.digest] + b" "

    assert resolve(shop(table(pebble=pebble)), ["pebble"])[0].origin is Origin.BUILT
    assert heard.named("image.pull_failed")[0]["error"] == "DigestMismatch"


def test_a_registry_that_stumbles_is_asked_again(table: Maker, shop: Maker, moody: MoodyRegistry, pebble: Pull) -> None:
    """Two times 503, then the image."""
    moody.moods["manifests"] = [503, 503, 200]

    assert resolve(shop(table(pebble=pebble)), ["pebble"], ImageSource.REGISTRY)[0].proof == moody.digest


def test_a_registry_that_keeps_failing_is_given_up(
    table: Maker, shop: Maker, moody: MoodyRegistry, pebble: Pull, heard: Heard
) -> None:
    """Three attempts, then the image is built."""
    moody.moods["manifests"] = [500]

    assert resolve(shop(table(pebble=pebble)), ["pebble"])[0].origin is Origin.BUILT
    assert len(heard.named("image.pulling")) == 3


def test_where_nobody_answers_building_begins_at_once(table: Maker, shop: Maker, pebble: Pull, heard: Heard) -> None:
    """Refused and unknown hosts cost well under a second together, whatever the number of images."""
    hosts = ("127.0.0.1:1/a:1", "127.0.0.1:1/b:1", "registry.invalid/c:1")
    catalogue = table(**{f"image{n}": {**pebble, "official": name} for n, name in enumerate(hosts)})
    asked = time.monotonic()

    resolve(shop(catalogue), list(catalogue.images))

    failures = [at for at, (name, _) in enumerate(heard) if name == "image.pull_failed"]
    builds = [data["seconds"] for data in heard.named("image.built")]
    assert len(failures) == len(builds) == 3
    assert heard.named("image.pulling") == [], "no pull was begun, let alone repeated"
    assert time.monotonic() - asked - sum(builds) < AT_ONCE
    assert {data["error"] for data in heard.named("image.pull_failed")} == {"RegistryUnreachable"}


def test_a_silent_registry_costs_one_patience(table: Maker, shop: Maker, moody: MoodyRegistry, pebble: Pull) -> None:
    """It accepts connections and says nothing: one probe for all its images, bounded."""
    moody.silent.add("/v2/")
    began = time.monotonic()

    with pytest.raises(RegistryUnreachable, match="does not answer within 1 s"):
        resolve(shop(table(pebble=pebble, second=pebble), patience=1.0), ["pebble", "second"], ImageSource.REGISTRY)

    assert time.monotonic() - began < AT_ONCE


def test_a_pull_that_stalls_in_a_layer_is_given_up(
    table: Maker, shop: Maker, moody: MoodyRegistry, pebble: Pull, heard: Heard
) -> None:
    """Half a layer and then nothing: bounded, and said."""
    moody.slow.add(next(key for key, value in moody.content.items() if value == moody.layer))

    images = resolve(shop(table(pebble=pebble), stall=1.0), ["pebble"])

    assert images[0].origin is Origin.BUILT
    assert "nothing heard for 1 s" in heard.named("image.pull_failed")[0]["reason"]


def test_a_pull_that_is_stopped_ends_at_once(
    table: Maker, shop: Maker, moody: MoodyRegistry, pebble: Pull, api: docker.APIClient
) -> None:
    """Ctrl-C while the registry says nothing: the blocked connection is closed, and no image is there."""
    moody.slow.add(next(key for key, value in moody.content.items() if value == moody.layer))
    workshop, stop = shop(table(pebble=pebble), stall=60.0), Stop()
    reference = workshop.catalogue["pebble"].official
    began = time.monotonic()

    def in_the_middle(_: str, data: dict[str, object]) -> None:
        if "bytes" in data:
            threading.Thread(target=stop.say).start()

    with events.listening(in_the_middle), pytest.raises(Interrupted):
        pull(workshop, Wish("pebble", reference), stop)

    assert time.monotonic() - began < AT_ONCE
    assert Stock.look(api).find(reference) is None

"""What is there, where it came from, and what may go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl import events
from envctl.engine.images.stock import Origin, Stock, Stored, resolved

if TYPE_CHECKING:
    from envctl.engine.images.catalogue import Image
    from envctl.engine.images.workshop import Workshop


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One line of `images list`. `size` in bytes; `created` ISO-8601 UTC; both empty for an absent image.

    `reference` is what a service would run now, or what would be pulled or built.
    """

    name: str
    service: str
    reference: str
    origin: str
    size: int = 0
    created: str = ""


@dataclass(frozen=True, slots=True)
class Pruned:
    """One old image: removed, or kept for `reason`."""

    id: str
    name: str
    size: int
    reason: str = ""


def list_images(shop: Workshop) -> list[ImageRow]:
    """A row for each image of the table, present or not."""
    stock = Stock.look(shop.api)
    return [_row(shop, stock, image) for image in shop.catalogue.images.values()]


def _row(shop: Workshop, stock: Stock, image: Image) -> ImageRow:
    if official := stock.official(shop, image):
        name, found = official
    elif found := stock.tagged(image.tag):  # type: ignore[assignment]  # a walrus takes the type of the first branch
        name = image.tag
    else:
        absent = image.official.at(shop.mirror) if image.official else image.tag
        return ImageRow(image.name, image.service, str(absent), Origin.ABSENT)
    outdated = ", from an older recipe" if found.build and stock.built(shop, image) is None else ""
    origin = f"{resolved(image.service, name, found)}{outdated}"
    return ImageRow(image.name, image.service, str(name), origin, found.size, found.created)


def prune(shop: Workshop) -> list[Pruned]:
    """Remove what envctl built and does not use any more; each with its fate.

    Looked at are only images that carry envctl's labels and no name outside the table's repositories: an image that a
    user built on one of them inherits the labels. Kept: what the table names as it is now, and what any container
    uses, running or not. Pulled images are the user's: they may serve others.
    """
    stock = Stock.look(shop.api)
    kinds = {image.tag.repository for image in shop.catalogue.images.values()}
    current = {found.id for image in shop.catalogue.images.values() if (found := stock.built(shop, image))}
    used = {row["ImageID"] for row in shop.api.containers(all=True)}
    return [_remove(shop, old, used) for old in stock.images if _ours(old, kinds) and old.id not in current]


def _ours(image: Stored, kinds: set[str]) -> bool:
    """Whether envctl built it, and nobody gave it another name."""
    return image.kind in kinds and set(image.repositories) == {image.kind}


def _remove(shop: Workshop, old: Stored, used: set[str]) -> Pruned:
    """Remove one image by all its names, unless it is used."""
    import docker.errors

    name = ", ".join(old.tags)
    if old.id in used:
        return Pruned(old.id, name, old.size, "a container uses it")
    try:
        for each in old.tags:
            shop.api.remove_image(each, force=False)
    except docker.errors.ImageNotFound:
        return Pruned(old.id, name, old.size)
    except docker.errors.APIError as error:
        return Pruned(old.id, name, old.size, str(error.explanation or error))
    events.emit("image.removed", image=name, id=old.id, bytes=old.size)
    return Pruned(old.id, name, old.size)

"""Which image each service runs: present, else pulled, else built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envctl import events
from envctl.engine.images.build import build_all
from envctl.engine.images.pull import Wish, pull_all
from envctl.engine.images.reference import Reference
from envctl.engine.images.stock import ResolvedImage, Stock, resolved
from envctl.errors import ConfigurationError, ImageError, Problem
from envctl.model import ImageSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envctl.engine.images.catalogue import Image
    from envctl.engine.images.workshop import Workshop


def resolve(
    shop: Workshop,
    services: Iterable[str],
    source: ImageSource = ImageSource.AUTO,
    overrides: Mapping[str, str] | None = None,
) -> list[ResolvedImage]:
    """The image of each of `services`, in their order, present on the engine when this returns.

    `auto`: present, else pulled, else built, and the events say why. `registry`: never built (but what no registry
    holds, like the tools). `packages`: never pulled. `overrides` are the user's own references by service: pulled
    when absent, never built. All present: one request to the engine.

    Raises:
        ConfigurationError: an override is no image reference.
        UnknownName: no image is made for a service that has no override.
        ImageError: an image could not be had; its children say why.

    """
    overrides, services = overrides or {}, list(services)
    wanted = {service: shop.catalogue.of_service(service) for service in services if service not in overrides}
    stock = Stock.look(shop.api)
    by_id = _identified(stock, overrides, services)
    own = _own(overrides, [service for service in services if service not in by_id])
    present = by_id | _present(shop, stock, wanted, source) | _present_own(stock, own)
    for image in present.values():
        events.emit("image.present", service=image.service, image=image.reference, origin=str(image))
    missing = {service: image for service, image in wanted.items() if service not in present}
    wishes = [Wish(service, reference) for service, reference in own.items() if service not in present]
    wishes += [] if source is ImageSource.PACKAGES else _wishes(shop, missing)
    pulled = _pull(shop, wishes, forced=set(wanted if source is ImageSource.REGISTRY else ()) | set(own))
    have = present | pulled
    built = _build(shop, {service: image for service, image in missing.items() if service not in have})
    return [(have | built)[service] for service in services]


def _identified(stock: Stock, overrides: Mapping[str, str], services: list[str]) -> dict[str, ResolvedImage]:
    """The user's images that are named by id, which no registry knows."""
    found = {service: stock.identified(overrides[service]) for service in services if service in overrides}
    return {
        service: ResolvedImage(service, image.id, *image.origin)
        for service, image in found.items()
        if image is not None
    }


def _own(overrides: Mapping[str, str], services: list[str]) -> dict[str, Reference]:
    """The user's references, taken apart; all that are wrong are reported at once."""
    found: dict[str, Reference] = {}
    problems: list[Problem] = []
    for service in services:
        if service in overrides:
            try:
                found[service] = Reference.parse(overrides[service])
            except ValueError as error:
                problems.append(Problem(str(error), f"services.{service}.image"))
    if problems:
        raise ConfigurationError(problems)
    return found


def _present(
    shop: Workshop, stock: Stock, wanted: Mapping[str, Image], source: ImageSource
) -> dict[str, ResolvedImage]:
    """What is there already and allowed."""
    found = {service: stock.resolve(shop, image, source) for service, image in wanted.items()}
    return {service: image for service, image in found.items() if image}


def _present_own(stock: Stock, own: Mapping[str, Reference]) -> dict[str, ResolvedImage]:
    """Which of the user's own images are there."""
    found = {service: (reference, stock.find(reference)) for service, reference in own.items()}
    return {service: resolved(service, name, image) for service, (name, image) in found.items() if image}


def _wishes(shop: Workshop, missing: Mapping[str, Image]) -> list[Wish]:
    """The official images, as they are to be pulled here."""
    return [
        Wish(service, image.official.at(shop.mirror), image.size)
        for service, image in missing.items()
        if image.official
    ]


def _pull(shop: Workshop, wishes: list[Wish], forced: set[str]) -> dict[str, ResolvedImage]:
    """What could be pulled. A service in `forced` has no other source: its refusal is raised."""
    outcomes = pull_all(shop, wishes)
    for service, outcome in outcomes.items():
        if service in forced and isinstance(outcome, ImageError):
            raise outcome
    return {service: outcome for service, outcome in outcomes.items() if isinstance(outcome, ResolvedImage)}


def _build(shop: Workshop, missing: Mapping[str, Image]) -> dict[str, ResolvedImage]:
    """Build the rest and look at what came."""
    if not missing:
        return {}
    build_all(shop, [image.name for image in missing.values()])
    stock = Stock.look(shop.api)
    outcome = {service: stock.resolve(shop, image, ImageSource.PACKAGES) for service, image in missing.items()}
    return {service: image for service, image in outcome.items() if image}

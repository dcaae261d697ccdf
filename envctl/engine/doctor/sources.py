"""The checks of where images can come from: present, a registry that answers, or package registries."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.config.settings import bundle_root
from envctl.engine.doctor.finding import Finding, Level
from envctl.engine.doctor.site import find_program
from envctl.engine.images import catalogue, registry
from envctl.engine.images.bootstrap import SUITE
from envctl.engine.images.stock import Stock
from envctl.engine.images.surroundings import debian_mirror
from envctl.engine.images.workshop import Workshop
from envctl.errors import ImageError
from envctl.model import ImageSource
from envctl.state import state_root

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from envctl.engine.doctor.site import Site

PATIENCE = 1.5
"""Seconds for a registry or mirror to answer; a look must not take as long as `up`, which waits longer."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is there and what could be had. `silent`: registry host to the reason why it cannot be asked."""

    present: Mapping[str, str]
    missing: Sequence[str]
    silent: Mapping[str, str]
    base: bool

    @property
    def pullable(self) -> bool:
        """Whether the missing images can be pulled; true where none is missing."""
        return not self.missing or not self.silent


def look(site: Site) -> Outlook | None:
    """Ask the engine for its images and, if some are missing, one registry each; None without an engine."""
    if site.engine is None or site.address is None:
        return None
    table = catalogue.load(bundle_root() / "compose" / "images" / "images.yaml")
    mirror = os.environ.get("ENVCTL_REGISTRY")
    shop = Workshop(site.address, site.engine.api, table, state_root() / "images", mirror, patience=PATIENCE)
    stock = Stock.look(site.engine.api)
    found = {i.service: stock.resolve(shop, i, ImageSource.AUTO) for i in table.images.values() if i.service}
    absent = [image for image in table.images.values() if image.service and found[image.service] is None]
    # Asked only where something is missing: a question may count against a registry's limit for anonymous users.
    silent = registry.probe_all(shop, [image.official.at(mirror) for image in absent if image.official])
    return Outlook(
        present={service: str(image) for service, image in found.items() if image},
        missing=[image.service for image in absent],
        silent={host: error.found for host, error in silent.items()},
        base=any(stock.built(shop, image) is not None for image in table.images.values() if image.context is None),
    )


def sources(site: Site) -> list[Finding]:
    """Three findings: images, registry, packages. It fails only when an image is missing and no way leads to it."""
    outlook = look(site)
    if outlook is None:
        return []
    return [_images(outlook), _registry(outlook), _packages(outlook)]


def lacks_debootstrap(site: Site) -> bool:
    """Whether images have to be built here from the bottom up, and the tool for the bottom is missing."""
    outlook = look(site)
    return outlook is not None and not outlook.pullable and not outlook.base and find_program("debootstrap") is None


def _images(outlook: Outlook) -> Finding:
    """What is present, and where it came from."""
    origins = Counter(origin.partition(" (")[0] for origin in outlook.present.values())
    total = len(outlook.present) + len(outlook.missing)
    how = f" ({', '.join(f'{count} {origin}' for origin, count in origins.items())})" if origins else ""
    data: dict[str, object] = {"present": dict(outlook.present), "missing": list(outlook.missing)}
    found = f"{len(outlook.present)} of {total} present{how}"
    if not outlook.missing:
        return Finding("images", Level.OK, found, "`up` starts at once", data=data)
    meaning = f"the first `up` gets them: {', '.join(outlook.missing)}"
    return Finding("images", Level.OK, found, meaning, "`envctl images pull` or `build` does it beforehand", data)


def _registry(outlook: Outlook) -> Finding:
    """Whether the registries of the missing images answer."""
    data: dict[str, object] = {"silent": dict(outlook.silent), "asked": bool(outlook.missing)}
    if not outlook.missing:
        return Finding("registry", Level.OK, "not asked", "no image is missing", data=data)
    if not outlook.silent:
        return Finding("registry", Level.OK, "answers", "images are pulled, pinned by tag and digest", data=data)
    found = "; ".join(f"{host}: {reason}" for host, reason in outlook.silent.items())
    meaning = "what is missing from there is built from package registries, which takes minutes"
    advice = "nothing, or set ENVCTL_REGISTRY to a mirror that the engine can reach"
    return Finding("registry", Level.WARN, found, meaning, advice, data)


def _packages(outlook: Outlook) -> Finding:
    """Whether images can be built here; only as bad as the lack of another way makes it."""
    if outlook.base:
        meaning = "images can be built from package registries"
        return Finding("packages", Level.OK, "the base image is there", meaning, data={"base": True})
    obstacles = list(filter(None, (_tool(), _root(), _mirror())))
    data: dict[str, object] = {"base": False, "obstacles": [what for what, _ in obstacles]}
    if not obstacles:
        meaning = "images can be built from package registries where no registry answers"
        return Finding("packages", Level.OK, "debootstrap, root and a mirror that answers", meaning, data=data)
    found = "; ".join(what for what, _ in obstacles)
    advice = "; ".join(advice for _, advice in obstacles)
    if outlook.pullable:
        return Finding("packages", Level.OK, found, "not needed: there are other ways to every image", data=data)
    missing = ", ".join(outlook.missing)
    return Finding("packages", Level.FAIL, found, f"neither pulled nor built can be: {missing}", advice, data)


def _tool() -> tuple[str, str] | None:
    if find_program("debootstrap"):
        return None
    return "no debootstrap", "`envctl doctor --fix` as root installs it (Debian, Ubuntu)"


def _root() -> tuple[str, str] | None:
    if os.geteuid() == 0:
        return None
    return "not root", "run `sudo envctl images build` once"


def _mirror() -> tuple[str, str] | None:
    """Whether the mirror of the host's own apt configuration holds the suite of the base image."""
    try:
        mirror = debian_mirror(os.environ)
    except ImageError as error:
        return error.found, error.advice
    request = urllib.request.Request(f"{mirror}/dists/{SUITE}/Release", method="HEAD")  # noqa: S310 - apt's own mirror
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE):  # noqa: S310
            return None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        return f"{mirror} does not serve {SUITE}: {error}", "see if `apt-get update` works, or set ENVCTL_DEBIAN_MIRROR"

"""The images that the engine holds, seen in one look, and what they tell about where they came from."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from envctl.engine.images.fingerprint import BUILD_LABEL, KIND_LABEL, fingerprint
from envctl.model import ImageSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import docker

    from envctl.engine.images.catalogue import Image
    from envctl.engine.images.reference import Reference
    from envctl.engine.images.workshop import Workshop


SHORTEST_ID = 12
"""Digits of an image id as `docker images` prints it."""


class Origin(StrEnum):
    """Where an image came from."""

    PULLED = "pulled"
    BUILT = "built from packages"
    UNKNOWN = "present, origin unknown"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Stored:
    """One image of the engine's. `created` is ISO-8601 UTC, `size` in bytes."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    labels: Mapping[str, str]
    size: int
    created: str

    @property
    def build(self) -> str:
        """The fingerprint that it was built from; empty when envctl did not build it.

        An image that somebody built on one of envctl's inherits its labels, but not its name.
        """
        return self.labels.get(BUILD_LABEL, "") if self.kind in self.repositories else ""

    @property
    def kind(self) -> str:
        """The repository that envctl built it, or its parent, for; empty when neither was."""
        return self.labels.get(KIND_LABEL, "")

    @property
    def repositories(self) -> tuple[str, ...]:
        """The tags without what follows the last colon."""
        return tuple(tag.rpartition(":")[0] for tag in self.tags)

    def digest_of(self, repository: str) -> str:
        """The digest under which it was pulled from `repository`; empty when it was not."""
        pulled = (name.partition("@") for name in self.digests)
        return next((digest for name, _, digest in pulled if name == repository), "")

    @property
    def origin(self) -> tuple[Origin, str]:
        """Where it came from, and the proof: a digest, or the day of the build."""
        if self.build:
            return Origin.BUILT, self.created[:10]
        if self.digests:
            return Origin.PULLED, self.digests[0].partition("@")[2]
        return Origin.UNKNOWN, ""


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """What a service will run: the reference to give to compose, and where the image came from.

    `proof` is the digest of a pulled image and the day of a built one.
    """

    service: str
    reference: str
    origin: Origin
    proof: str = ""

    def __str__(self) -> str:
        return f"{self.origin} ({self.proof})" if self.proof else str(self.origin)


@dataclass(frozen=True, slots=True)
class Stock:
    """All images of an engine at one moment."""

    images: tuple[Stored, ...]

    @classmethod
    def look(cls, api: docker.APIClient) -> Stock:
        """One request, a few milliseconds."""
        return cls(tuple(_stored(row) for row in api.images()))

    def find(self, reference: Reference) -> Stored | None:
        """The image of exactly this name: by its digest where it has one, else by tag.

        A tag stands for a digest only where the engine knows no digest (an image that was loaded from a file):
        otherwise the tag has moved on, and this is another image.
        """
        for image in self.images:
            if reference.digest and reference.pinned in image.digests:
                return image
        tagged = self.tagged(reference)
        if tagged and reference.digest and tagged.digest_of(reference.repository):
            return None
        return tagged

    def tagged(self, reference: Reference) -> Stored | None:
        """The image that carries this tag now."""
        return next((image for image in self.images if reference.tagged in image.tags), None)

    def identified(self, text: str) -> Stored | None:
        """The image with this id, whole or its first twelve digits or more."""
        digits = text.removeprefix("sha256:")
        if len(digits) < SHORTEST_ID or not set(digits) <= set("0123456789abcdef"):
            return None
        return next((image for image in self.images if image.id.startswith(f"sha256:{digits}")), None)

    def official(self, shop: Workshop, image: Image) -> tuple[Reference, Stored] | None:
        """The official image, under its own name or the mirror's, with the name to use."""
        if image.official is None:
            return None
        for name in dict.fromkeys((image.official.at(shop.mirror), image.official)):
            if (found := self.find(name)) and not found.build:
                return _usable(name, found), found
        return None

    def built(self, shop: Workshop, image: Image) -> Stored | None:
        """The image as envctl builds it now; None also when it was built from an older recipe."""
        found = self.tagged(image.tag)
        return found if found and found.build == fingerprint(image, shop.catalogue) else None

    def resolve(self, shop: Workshop, image: Image, source: ImageSource) -> ResolvedImage | None:
        """What of this image is present and allowed by `source`."""
        if source is not ImageSource.PACKAGES and (official := self.official(shop, image)):
            return resolved(image.service, *official)
        if (source is not ImageSource.REGISTRY or not image.official) and (built := self.built(shop, image)):
            return resolved(image.service, image.tag, built)
        return None


def resolved(service: str, name: Reference, found: Stored) -> ResolvedImage:
    """`found`, to be used under `name`."""
    origin, proof = found.origin
    if origin is Origin.PULLED:
        proof = found.digest_of(name.repository) or proof
    return ResolvedImage(service, str(name), origin, proof)


def _usable(name: Reference, found: Stored) -> Reference:
    """The pinned name where the engine knows the digest; an image loaded from a file answers to its tag only."""
    from dataclasses import replace

    return name if not name.digest or name.pinned in found.digests else replace(name, digest="")


def _stored(row: Mapping[str, Any]) -> Stored:
    created = dt.datetime.fromtimestamp(row["Created"], dt.UTC).isoformat().replace("+00:00", "Z")
    return Stored(
        id=row["Id"],
        tags=_named(row.get("RepoTags")),
        digests=_named(row.get("RepoDigests")),
        labels=row.get("Labels") or {},
        size=int(row["Size"]),
        created=created,
    )


def _named(names: Iterable[str] | None) -> tuple[str, ...]:
    """Names without the engine's `<none>` placeholders."""
    return tuple(name for name in names or () if "<none>" not in name)
